"""Watching the tiers below one prefix with one blocking query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import TierRecord, read_tier
from airflow_provider_chefconsul.consul.watching.topic import Topic
from airflow_provider_chefconsul.consul.watching.watch import SharedWatch
from airflow_provider_chefconsul.exceptions import AccessDenied, ChefConsulError, ConsulUnavailable

TierPath = tuple[str, str]
"""An environment and a tier."""
KEYS = frozenset({"keys"})
_LARGE = 2000  # entries; a larger tier is watched apart from others, and no more are read together
_UNKNOWN = 250  # entries that a tier is taken for before its first read
_SETTLE = 0.1  # seconds
_REST = 0.02  # seconds; every write in the datacenter wakes a query on an empty prefix


@dataclass(frozen=True, slots=True)
class _Read:
    """A tier's topic, and the number of its read that is under way."""

    topic: Topic[TierRecord]
    number: int


class PrefixWatch(SharedWatch):
    """Tiers that may have changed whenever a key below a prefix has: one, or all watched ones of a wider prefix.

    :param client: owned by the watch, which closes it.
    :param on_denied: called when the token may not list the prefix; returns whether other watches took the tiers over.
    :param set_apart: called with a tier that others had better not wait for; returns whether it has its own watch now.
    """

    def __init__(
        self,
        client: ConsulClient,
        keys: Keys,
        prefix: str,
        *,
        on_denied: Callable[[PrefixWatch], bool],
        set_apart: Callable[[PrefixWatch, TierPath], bool],
    ) -> None:
        super().__init__(client, dict.fromkeys(KEYS, self._find_index), settle=_SETTLE, rest=_REST)
        self.prefix = prefix
        self.tiers: dict[TierPath, Topic[TierRecord]] = {}
        self._keys = keys
        self._on_denied = on_denied
        self._set_apart = set_apart

    def take(self, of: TierPath, topic: Topic[TierRecord]) -> None:
        """Read a topic from now on that another watch has read."""
        self.tiers[of] = topic
        topic.watch = self
        topic.outdate()
        self.ask()

    def topics(self) -> Collection[Topic[Any]]:
        """All watched topics."""
        return tuple(self.tiers.values())

    def size(self) -> int:
        """The number of entries in all tiers."""
        return sum(_size(topic) for topic in self.tiers.values())

    async def read(self, topics: Collection[Topic[Any]]) -> Mapping[str, int]:
        """Read these tiers, small ones together."""
        reads = {of: _Read(topic, topic.begin()) for of, topic in self.tiers.items() if topic in topics}
        if len(reads) == 1 and self._keys.tier(*next(iter(reads))) == self.prefix:
            index, entries = await self.client.tree(self.prefix)
            for of, read in reads.items():
                await self._finish(of, read, entries)
            return {"keys": index}
        seen = {"keys": await self.client.fold(self.prefix)} if len(reads) > 1 else {}
        for batch in _batches(reads):
            await self._read_batch(batch)
        return seen

    async def _read_batch(self, reads: Mapping[TierPath, _Read]) -> None:
        """Read some of several tiers, in one request if that is answered; an error is its own tier's alone.

        :raises ConsulUnavailable: for all tiers, or for too many to try each by itself.
        """
        try:
            trees = await self.client.trees([self._keys.tier(*of) for of in reads])
        except ChefConsulError as error:
            if len(reads) == 1:
                for of, read in reads.items():
                    await self._fail(of, read, error)
                return
            await self._check_available(error)
            for of, read in reads.items():
                await self._read_batch({of: read})
            return
        for of, read in reads.items():
            try:
                await self._finish(of, read, trees.pop(self._keys.tier(*of)))
            except ConsulUnavailable as error:
                await self._fail(of, read, error)
            await asyncio.sleep(0)  # its viewers have their turn before the next tier's

    async def _finish(self, of: TierPath, read: _Read, entries: list[Entry]) -> None:
        found: TierRecord | ChefConsulError
        try:
            found = await read_tier(self.client, self._keys, *of, entries, last=read.topic.latest)
        except ConsulUnavailable:
            raise
        except ChefConsulError as error:
            found = error
        read.topic.finish(read.number, found)
        if _size(read.topic) > _LARGE and self._has(of, read):
            self._set_apart(self, of)

    async def _fail(self, of: TierPath, read: _Read, error: ChefConsulError) -> None:
        """Note that one tier cannot be read; if Consul is unavailable for it alone, it is tried again by itself."""
        await self._check_available(error)
        if not isinstance(error, ConsulUnavailable):
            read.topic.finish(read.number, error)
        elif self._has(of, read) and not self._set_apart(self, of):
            raise error

    def _has(self, of: TierPath, read: _Read) -> bool:
        """Whether the tier has kept its viewers during the read."""
        return self.tiers.get(of) is read.topic

    async def _check_available(self, error: ChefConsulError) -> None:
        """Ask for little, after an error that may mean that Consul is unavailable altogether."""
        if isinstance(error, ConsulUnavailable):
            await self.client.fold(self.prefix)

    async def _run(self) -> None:
        try:
            await super()._run()
        except AccessDenied:
            if not self._on_denied(self):
                raise

    async def _find_index(self, index: int, wait: timedelta) -> int:
        return await self.client.fold(self.prefix, index=index, wait=wait)


def _batches(reads: Mapping[TierPath, _Read]) -> Iterator[dict[TierPath, _Read]]:
    """The reads, in groups whose answers are small; a tier that could not be read comes alone."""
    batch: dict[TierPath, _Read] = {}
    total = 0
    for of, read in reads.items():
        topic = read.topic
        size = _LARGE if topic.failure else _size(topic) if topic.latest else _UNKNOWN
        if batch and (total + size > _LARGE or len(batch) == LONGEST_TRANSACTION):
            yield batch
            batch, total = {}, 0
        batch[of] = read
        total += size
    if batch:
        yield batch


def _size(topic: Topic[TierRecord]) -> int:
    return len(topic.latest.sources) if topic.latest is not None else 0
