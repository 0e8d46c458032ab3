"""Watching the tiers of an environment with a few blocking queries, which all viewers in an event loop share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import TierRecord, read_tier
from airflow_provider_chefconsul.consul.watching.topic import Subscription, Topic, Viewer, subscribed
from airflow_provider_chefconsul.consul.watching.watch import SharedWatch
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

KEYS = frozenset({"keys"})
_APART = 4  # tiers with a query each; more tiers share one query, which any of them wakes
_SETTLE = 0.1  # seconds
_REST = 0.02  # seconds; every write in the datacenter wakes a query on an empty prefix


@asynccontextmanager
async def subscribed_to_tier(
    settings: ConsulSettings, environment: str, tier: str, viewer: Viewer
) -> AsyncGenerator[Subscription[TierRecord]]:
    """Subscribe to a tier; all viewers of its environment in the event loop with the same settings share the queries.

    :param viewer: set whenever there is something new, or Consul becomes unavailable.
    """
    key = (settings, environment)
    shared = _environments.acquire(key, lambda: EnvironmentWatch(settings, environment))
    try:
        with subscribed(shared.topic(tier), viewer) as subscription:
            yield subscription
    finally:
        is_last = _environments.release(key, shared)
        await (shared.end() if is_last else shared.leave(tier))


class EnvironmentWatch:
    """The watched tiers of an environment: a few have a query each, more share one."""

    def __init__(self, settings: ConsulSettings, environment: str) -> None:
        self._settings = settings
        self._environment = environment
        self._keys = Keys(settings.root)
        self._apart: dict[str, PrefixWatch] = {}
        self._whole: PrefixWatch | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def topic(self, tier: str) -> Topic[TierRecord]:
        """A tier's topic."""
        watch = self._watch_of(tier)
        if not watch.is_running:
            watch.begin()
        if tier not in watch.tiers:
            watch.tiers[tier] = Topic(watch, KEYS)
        return watch.tiers[tier]

    async def leave(self, tier: str) -> None:
        """Stop watching a tier, unless it has other viewers."""
        watch = self._whole or self._apart.get(tier)
        if watch is None or tier not in watch.tiers or watch.tiers[tier].viewers:
            return
        del watch.tiers[tier]
        if watch is not self._whole:
            del self._apart[tier]
            await watch.end()

    async def end(self) -> None:
        """End all queries."""
        watches = [*self._apart.values(), *([self._whole] if self._whole else [])]
        await asyncio.gather(*(watch.end() for watch in watches), *self._ending)

    def _watch_of(self, tier: str) -> PrefixWatch:
        if self._whole is not None:
            return self._whole
        if tier in self._apart:
            return self._apart[tier]
        if len(self._apart) < _APART:
            self._apart[tier] = self._watch(self._keys.tier(self._environment, tier))
            return self._apart[tier]
        self._whole = self._watch(self._keys.environment(self._environment))
        for each, watch in self._apart.items():
            topic = self._whole.tiers[each] = watch.tiers.pop(each)
            topic.watch = self._whole
            task = asyncio.create_task(watch.end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._apart.clear()
        return self._whole

    def _watch(self, prefix: str) -> PrefixWatch:
        client = ConsulClient(self._settings, retry_for=timedelta(0))
        return PrefixWatch(client, self._keys, self._environment, prefix)


class PrefixWatch(SharedWatch):
    """Tiers that are read whenever a key below a prefix has changed.

    :param client: owned by the watch, which closes it.
    """

    def __init__(self, client: ConsulClient, keys: Keys, environment: str, prefix: str) -> None:
        super().__init__(client, dict.fromkeys(KEYS, self._find_index), settle=_SETTLE, rest=_REST)
        self.tiers: dict[str, Topic[TierRecord]] = {}
        self._keys = keys
        self._environment = environment
        self._prefix = prefix

    def topics(self) -> Collection[Topic[Any]]:
        """All watched topics."""
        return tuple(self.tiers.values())

    def size(self) -> int:
        """The number of entries in all tiers."""
        return sum(len(topic.latest.sources) for topic in self.tiers.values() if topic.latest is not None)

    async def read(self, topics: Collection[Topic[Any]]) -> Mapping[str, int]:
        """Read these tiers."""
        chosen = {tier: topic for tier, topic in self.tiers.items() if topic in topics}
        numbers = {tier: topic.begin() for tier, topic in chosen.items()}
        prefixes = {tier: self._keys.tier(self._environment, tier) for tier in chosen}
        if list(prefixes.values()) == [self._prefix]:
            index, entries = await self.client.tree(self._prefix)
            trees = {self._prefix: entries}
        else:
            index = await self.client.fold(self._prefix)
            trees = await self.client.trees(list(prefixes.values()))
        for tier, topic in chosen.items():
            topic.finish(numbers[tier], await self._read_tier(tier, trees.pop(prefixes[tier]), topic.latest))
            await asyncio.sleep(0)  # its viewers have their turn before the next tier's
        return {"keys": index}

    async def _read_tier(
        self, tier: str, entries: list[Entry], last: TierRecord | None
    ) -> TierRecord | ChefConsulError:
        try:
            return await read_tier(self.client, self._keys, self._environment, tier, entries, last=last)
        except ConsulUnavailable:
            raise
        except ChefConsulError as error:
            return error

    async def _find_index(self, index: int, wait: timedelta) -> int:
        return await self.client.fold(self._prefix, index=index, wait=wait)


_environments: Shared[EnvironmentWatch] = Shared()
