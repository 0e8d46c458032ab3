"""Rereading data from Consul whenever it may have changed, for all viewers in the process.

A few blocking queries with small answers say that something may have changed; plain, consistent reads then fetch the
data. So a watch needs the same few connections for any number of viewers, and an abandoned query costs Consul little.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT
from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.watching.blocking_queries import BlockingQueries, Query
from airflow_provider_chefconsul.consul.watching.topic import Topic, Trouble
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

# Reading 10,000 reports takes 0.15 s of a core, two thirds of it Consul's. Resting in proportion before the next read
# bounds that share while reports pour in, and leaves a small tier's reads immediate.
_REST_PER_ENTRY = 50e-6  # seconds
_LONGEST_REST = 2.0  # seconds
_SHARE_OF_REST = 0.5  # of the time that is left until a viewer has what it waits for, so that the end is seen at once
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.1, 3.0  # seconds between two tries while Consul is unavailable


class SharedWatch(ABC):
    """Topics that are read together, and again whenever one of its blocking queries has news.

    Runs from :meth:`begin` to :meth:`end`, and retries while Consul is unavailable.

    :param queries: by name.
    :param settle: seconds before the first query blocks, so that short-lived viewers leave none behind.
    :param rest: seconds between two reads of a topic because of news, at least.
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
    def topics(self) -> Collection[Topic[Any]]:
        """All watched topics."""

    @abstractmethod
    def size(self) -> int:
        """The number of entries in all topics."""

    @abstractmethod
    async def read(self, topics: Collection[Topic[Any]]) -> Mapping[str, int]:
        """Read these topics.

        :returns: by query, Consul's index up to which the reads have seen all changes; a query whose last news is all
            that is known is left out.
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
        indexes = await self._ask()  # before the first read, so that no change after it is missed
        blocking = BlockingQueries(self.client, self._queries, indexes)
        block_at = monotonic() + self._settle
        for topic in self.topics():
            topic.outdate()
        try:
            while True:
                self._asked.clear()
                await self._check_due(blocking)
                if chosen := self._choose():
                    await self._read(chosen, blocking.indexes)
                if self.trouble is not None:
                    self.trouble = None
                    self._wake_all()
                if news := await self._await_news(blocking, block_at):
                    block_at = max(block_at, monotonic() + self._rest)
                    for topic in self.topics():
                        if not topic.is_stale and not topic.has_seen(news):
                            topic.is_stale, topic.stale_at = True, monotonic()
        finally:
            await blocking.end()

    async def _check_due(self, blocking: BlockingQueries) -> None:
        """Give viewers that wait for a read what is known, if nothing has changed since: asking that takes little."""
        due = {topic: topic.begin() for topic in self.topics() if topic.is_due and not topic.is_stale}
        if not due:
            return
        indexes = await self._ask()
        has_ended = blocking.has_ended()  # by an outage perhaps, after which an index may come again
        for topic, number in due.items():
            if has_ended or topic.latest is None or not topic.has_seen(indexes):
                topic.outdate()
            else:
                topic.finish(number, topic.latest)

    def _choose(self) -> set[Topic[Any]]:
        """The topics to read now."""
        now, longest = monotonic(), self._longest_rest()
        return {
            topic
            for topic in self.topics()
            if topic.is_stale and (topic.is_due or now >= topic.rested_at + self._rest_of(topic, longest))
        }

    async def _read(self, topics: Collection[Topic[Any]], indexes: Mapping[str, int]) -> None:
        for topic in topics:
            topic.is_stale, topic.began_at = False, monotonic()
        seen = {**indexes, **await self.read(topics)}
        for topic in topics:
            if topic.watch is self:  # another may have taken it over
                topic.seen, topic.rested_at = seen, monotonic()

    def _longest_rest(self) -> float:
        return min(_LONGEST_REST, self._rest + self.size() * _REST_PER_ENTRY)

    def _rest_of(self, topic: Topic[Any], longest: float) -> float:
        """Seconds between two reads of a topic: fewer near the end of what its viewers wait for."""
        left = topic.seconds_left
        return longest if left is None else max(self._rest, min(longest, left * _SHARE_OF_REST))

    async def _await_news(self, blocking: BlockingQueries, block_at: float) -> Mapping[str, int | None]:
        """What the queries tell; nothing when a topic has rested, or a read is asked for."""
        asking = asyncio.create_task(self._asked.wait())
        try:
            now, longest = monotonic(), self._longest_rest()
            stale = [topic.rested_at + self._rest_of(topic, longest) for topic in self.topics() if topic.is_stale]
            unaware = set().union(*(topic.causes for topic in self.topics() if not topic.is_stale))
            if now >= block_at:
                blocking.begin(unaware)
            elif unaware:
                stale.append(block_at)
            timeout = max(0.0, min(stale) - now) if stale else None
            await asyncio.wait({asking, *blocking.tasks}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return blocking.collect()
        finally:
            asking.cancel()

    async def _ask(self) -> dict[str, int]:
        """Consul's index for each query now."""
        asks = {name: asyncio.create_task(_index(query)) for name, query in self._queries.items()}
        await gather_all(*asks.values())
        return {name: ask.result() for name, ask in asks.items()}

    def _wake_all(self) -> None:
        for topic in self.topics():
            topic.wake()


async def _index(query: Query) -> int:
    return await query(0, SHORTEST_WAIT)
