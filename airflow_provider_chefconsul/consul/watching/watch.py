"""Reading things from Consul again whenever they may have changed, for everybody in the process who looks at them.

A few blocking queries say that something may have changed; their answers are small, and what is wanted is read after
each by plain, consistent reads. So it takes the same few connections whatever is read and for however many, and a query
that is abandoned costs Consul little.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT
from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.watching.topic import Topic, Trouble
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

T = TypeVar("T")
Query = Callable[[int, timedelta], Awaitable[int]]
"""Index 0 gives the present index at once; another one, the index as soon as it has moved, or after the time given."""

# Reading 10,000 reports takes a quarter of a second of a core. Resting in proportion before the next read bounds that
# share while reports pour in, and leaves a small tier's reads immediate.
_REST_PER_ENTRY = 25e-6  # seconds
_LONGEST_REST = 2.0  # seconds
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.1, 3.0  # seconds between two tries while Consul is unavailable
_EARLY = 0.9  # of its wait: a query that ends before without news was cut on its way


class SharedWatch(ABC):
    """Topics that are read together, and again after any of some blocking queries has news of them.

    It runs from :meth:`begin` to :meth:`end`, and tries again by itself while Consul is away.

    :param queries: by name.
    :param settle: seconds before the first query blocks: who looks for a moment only leaves none behind.
    :param rest: seconds after a read before the next one, at least.
    """

    def __init__(self, client: ConsulClient, queries: Mapping[str, Query], *, settle: float, rest: float) -> None:
        self.client = client
        self.trouble: Trouble | None = None
        self.failure: Exception | None = None
        self._queries = queries
        self._settle = settle
        self._rest = rest
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def topics(self) -> Iterable[Topic[object]]:
        """All that is watched."""

    @abstractmethod
    async def read(self, news: Collection[str]) -> int:
        """Read what those queries have news of, and every topic that is due; how many entries there are in all.

        :raises ConsulUnavailable: not all could be read.
        """

    @property
    def is_running(self) -> bool:
        """Whether it has begun, and nothing has ended it."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Begin to watch, again after a failure."""
        self.failure = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._note_end)

    async def end(self) -> None:
        """End all queries, and give the client's connections back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.client.close()

    def ask(self) -> None:
        """Have what is due read now."""
        self._asked.set()

    async def _run(self) -> None:
        backoff = _SHORTEST_BACKOFF
        while True:
            try:
                await self._follow()
            except ConsulUnavailable as error:
                if self.trouble is None:
                    backoff = _SHORTEST_BACKOFF
                since = self.trouble.since if self.trouble else monotonic()
                self.trouble = Trouble(error, since)
                self._wake_all()
                await asyncio.sleep(backoff)
                backoff = min(_LONGEST_BACKOFF, 2 * backoff)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Whatever has ended the watch, those who look must not wait for ever."""
        if task is self._task and not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.failure = error
            self._wake_all()

    async def _follow(self) -> None:
        """Read everything, and again after news, until Consul is away."""
        asks = {name: asyncio.create_task(_index(query)) for name, query in self._queries.items()}
        await gather_all(*asks.values())  # before the first read, so that no change after it is missed
        blocking = _Blocking(self.client, self._queries, {name: ask.result() for name, ask in asks.items()})
        news: Collection[str] = self._queries.keys()
        rest_until = monotonic() + self._settle
        try:
            while True:
                self._asked.clear()
                entries = await self.read(news)
                if self.trouble is not None:
                    self.trouble = None
                    self._wake_all()
                if news:  # who comes late does not keep the others from what is new
                    rest = min(_LONGEST_REST, self._rest + entries * _REST_PER_ENTRY)
                    rest_until = max(rest_until, monotonic() + rest)
                news = await self._await_news(blocking, rest_until)
        finally:
            await blocking.end()

    async def _await_news(self, blocking: _Blocking, rest_until: float) -> Collection[str]:
        """Rest, then block until there is news, or until something is asked for."""
        asking = asyncio.create_task(self._asked.wait())
        try:
            while True:
                if (left := rest_until - monotonic()) > 0:
                    await asyncio.wait({asking}, timeout=left)
                else:
                    blocking.begin()
                    await asyncio.wait({asking, *blocking.tasks}, return_when=asyncio.FIRST_COMPLETED)
                    if news := blocking.collect():
                        return news
                if asking.done():
                    return ()
        finally:
            asking.cancel()

    def _wake_all(self) -> None:
        for topic in self.topics():
            topic.wake()


class _Blocking:
    """The queries of a watch that block now."""

    def __init__(self, client: ConsulClient, queries: Mapping[str, Query], indexes: dict[str, int]) -> None:
        self.tasks: dict[asyncio.Task[int], tuple[str, float, float]] = {}  # with its name, when it began, its wait
        self._client = client
        self._queries = queries
        self._indexes = indexes
        self._waits = dict.fromkeys(queries, SHORTEST_WAIT)

    def begin(self) -> None:
        """Have each query block, for longer each time."""
        at_work = {name for name, _, _ in self.tasks.values()}
        for name in self._queries.keys() - at_work:
            wait = min(self._waits[name], self._client.longest_wait)
            self._waits[name] = wait * 2
            task = asyncio.ensure_future(self._queries[name](self._indexes[name], wait))
            self.tasks[task] = (name, monotonic(), wait.total_seconds())

    def collect(self) -> set[str]:
        """The names of queries that are over and have news, or were cut on their way and may have missed some."""
        news = set()
        for task in [task for task in self.tasks if task.done()]:
            name, began, wait = self.tasks.pop(task)
            index = task.result()
            if index != self._indexes[name] or monotonic() - began < _EARLY * wait:
                news.add(name)
            self._indexes[name] = index
        return news

    async def end(self) -> None:
        """End all."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _index(query: Query) -> int:
    return await query(0, SHORTEST_WAIT)
