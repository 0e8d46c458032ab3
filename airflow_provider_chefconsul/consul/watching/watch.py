"""Rereading data from Consul whenever it may have changed, for all viewers in the process.

A few blocking queries with small answers say that something may have changed; plain, consistent reads then fetch the
data. So a watch needs the same few connections for any number of viewers, and an abandoned query costs Consul little.
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
"""Returns Consul's index: at once for index 0, else as soon as it differs, or after the time given."""

# Reading 10,000 reports takes a quarter of a second of a core. Resting in proportion before the next read bounds that
# share while reports pour in, and leaves a small tier's reads immediate.
_REST_PER_ENTRY = 25e-6  # seconds
_LONGEST_REST = 2.0  # seconds
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.1, 3.0  # seconds between two tries while Consul is unavailable
_EARLY = 0.9  # share of its wait; a query that ends sooner without news was cut by a proxy


class SharedWatch(ABC):
    """Topics that are read together, and again whenever one of its blocking queries has news.

    Runs from :meth:`begin` to :meth:`end`, and retries while Consul is unavailable.

    :param queries: by name.
    :param settle: seconds before the first query blocks, so that short-lived viewers leave none behind.
    :param rest: seconds between two reads, at least.
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
        """All watched topics."""

    @abstractmethod
    async def read(self, news: Collection[str]) -> int:
        """Read all topics that these queries have news of or that are due; return the number of entries in all topics.

        :raises ConsulUnavailable: a topic could not be read.
        """

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Begin to watch; also starts again after a failure."""
        self.failure = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._note_end)

    async def end(self) -> None:
        """End all queries and close the client."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.client.close()

    def ask(self) -> None:
        """Make the watch read what is due."""
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
        """Wake the viewers when an error ended the watch, so that none waits forever."""
        if task is self._task and not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.failure = error
            self._wake_all()

    async def _follow(self) -> None:
        """Read everything, and again after news, until Consul is unavailable."""
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
                if news:  # a late viewer must not delay news for the others
                    rest = min(_LONGEST_REST, self._rest + entries * _REST_PER_ENTRY)
                    rest_until = max(rest_until, monotonic() + rest)
                news = await self._await_news(blocking, rest_until)
        finally:
            await blocking.end()

    async def _await_news(self, blocking: _Blocking, rest_until: float) -> Collection[str]:
        """Rest, then block until there is news or a read is asked for."""
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
    """The blocking queries of a watch."""

    def __init__(self, client: ConsulClient, queries: Mapping[str, Query], indexes: dict[str, int]) -> None:
        self.tasks: dict[asyncio.Task[int], tuple[str, float, float]] = {}  # name, start and wait
        self._client = client
        self._queries = queries
        self._indexes = indexes
        self._waits = dict.fromkeys(queries, SHORTEST_WAIT)

    def begin(self) -> None:
        """Start every query that is not blocking, with a longer wait each time."""
        at_work = {name for name, _, _ in self.tasks.values()}
        for name in self._queries.keys() - at_work:
            wait = min(self._waits[name], self._client.longest_wait)
            self._waits[name] = wait * 2
            task = asyncio.ensure_future(self._queries[name](self._indexes[name], wait))
            self.tasks[task] = (name, monotonic(), wait.total_seconds())

    def collect(self) -> set[str]:
        """The names of finished queries that have news, or that a proxy cut and that may have missed some."""
        news = set()
        for task in [task for task in self.tasks if task.done()]:
            name, began, wait = self.tasks.pop(task)
            index = task.result()
            if index != self._indexes[name] or monotonic() - began < _EARLY * wait:
                news.add(name)
            self._indexes[name] = index
        return news

    async def end(self) -> None:
        """Cancel all queries."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _index(query: Query) -> int:
    return await query(0, SHORTEST_WAIT)
