"""Watching tiers with a few blocking queries, which all viewers in an event loop share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import TierRecord, read_tier
from airflow_provider_chefconsul.consul.watching.topic import Subscription, Topic, Viewer, subscribed
from airflow_provider_chefconsul.consul.watching.watch import SharedWatch
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

KEYS = frozenset({"keys"})
_APART = 4  # queries; for more tiers, those of an environment share one, and then those of all environments
_LARGE = 2000  # entries; smaller tiers are read together
_SETTLE = 0.1  # seconds
_REST = 0.02  # seconds; every write in the datacenter wakes a query on an empty prefix


@asynccontextmanager
async def subscribed_to_tier(
    settings: ConsulSettings, environment: str, tier: str, viewer: Viewer
) -> AsyncGenerator[Subscription[TierRecord]]:
    """Subscribe to a tier; all viewers in the event loop with the same settings share the queries.

    :param viewer: set whenever there is something new, or Consul becomes unavailable.
    """
    shared = _views.acquire(settings, lambda: ViewWatch(settings))
    try:
        with subscribed(shared.topic(environment, tier), viewer) as subscription:
            yield subscription
    finally:
        is_last = _views.release(settings, shared)
        await (shared.end() if is_last else shared.leave(environment, tier))


class ViewWatch:
    """The watched tiers: a few have a query each, more share one, which a change of any of them wakes."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._keys = Keys(settings.root)
        self._watches: dict[str, PrefixWatch] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def topic(self, environment: str, tier: str) -> Topic[TierRecord]:
        """A tier's topic."""
        watch = self._watch_of(environment, tier)
        if not watch.is_running:
            watch.begin()
        if (environment, tier) not in watch.tiers:
            watch.tiers[environment, tier] = Topic(watch, KEYS)
        return watch.tiers[environment, tier]

    async def leave(self, environment: str, tier: str) -> None:
        """Stop watching a tier, unless it has other viewers."""
        for prefix, watch in list(self._watches.items()):
            topic = watch.tiers.get((environment, tier))
            if topic is None or topic.viewers:
                continue
            del watch.tiers[environment, tier]
            if not watch.tiers:
                del self._watches[prefix]
                await watch.end()

    async def end(self) -> None:
        """End all queries."""
        await asyncio.gather(*(watch.end() for watch in self._watches.values()), *self._ending)

    def _watch_of(self, environment: str, tier: str) -> PrefixWatch:
        """The watch of a tier: of the narrowest prefix that leaves only a few watches."""
        prefixes = self._keys.tier(environment, tier), self._keys.environment(environment), f"{self._settings.root}/"
        for prefix in prefixes:
            if prefix in self._watches:
                return self._watches[prefix]
        for prefix in prefixes:
            covered = [each for each in self._watches if each.startswith(prefix)]
            if len(self._watches) - len(covered) < _APART:
                break
        client = ConsulClient(self._settings, retry_for=timedelta(0))
        wider = PrefixWatch(client, self._keys, prefix)
        for each in covered:
            self._replace(self._watches.pop(each), wider)
        self._watches[prefix] = wider
        return wider

    def _replace(self, watch: PrefixWatch, wider: PrefixWatch) -> None:
        wider.tiers |= watch.tiers
        for topic in watch.tiers.values():
            topic.watch = wider
        watch.tiers = {}
        task = asyncio.create_task(watch.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class PrefixWatch(SharedWatch):
    """Tiers that may have changed whenever a key below a prefix has.

    :param client: owned by the watch, which closes it.
    """

    def __init__(self, client: ConsulClient, keys: Keys, prefix: str) -> None:
        super().__init__(client, dict.fromkeys(KEYS, self._find_index), settle=_SETTLE, rest=_REST)
        self.tiers: dict[tuple[str, str], Topic[TierRecord]] = {}
        self._keys = keys
        self._prefix = prefix

    def topics(self) -> Collection[Topic[Any]]:
        """All watched topics."""
        return tuple(self.tiers.values())

    def size(self) -> int:
        """The number of entries in all tiers."""
        return sum(_size(topic) for topic in self.tiers.values())

    async def read(self, topics: Collection[Topic[Any]]) -> Mapping[str, int]:
        """Read these tiers, small ones together."""
        chosen = {of: topic for of, topic in self.tiers.items() if topic in topics}
        numbers = {of: topic.begin() for of, topic in chosen.items()}
        if len(chosen) == 1:
            (of,) = chosen
            index, entries = await self.client.tree(self._keys.tier(*of))
            chosen[of].finish(numbers[of], await self._read_tier(*of, entries, chosen[of].latest))
            return {"keys": index} if self._keys.tier(*of) == self._prefix else {}
        index = await self.client.fold(self._prefix)
        small = [of for of, topic in chosen.items() if _size(topic) <= _LARGE]
        batches = [small[at : at + LONGEST_TRANSACTION] for at in range(0, len(small), LONGEST_TRANSACTION)]
        for batch in [*batches, *([of] for of in chosen.keys() - set(small))]:
            trees = await self.client.trees([self._keys.tier(*of) for of in batch])
            for of in batch:
                entries = trees.pop(self._keys.tier(*of))
                chosen[of].finish(numbers[of], await self._read_tier(*of, entries, chosen[of].latest))
                await asyncio.sleep(0)  # its viewers have their turn before the next tier's
        return {"keys": index}

    async def _read_tier(
        self, environment: str, tier: str, entries: list[Entry], last: TierRecord | None
    ) -> TierRecord | ChefConsulError:
        try:
            return await read_tier(self.client, self._keys, environment, tier, entries, last=last)
        except ConsulUnavailable:
            raise
        except ChefConsulError as error:
            return error

    async def _find_index(self, index: int, wait: timedelta) -> int:
        return await self.client.fold(self._prefix, index=index, wait=wait)


def _size(topic: Topic[TierRecord]) -> int:
    return len(topic.latest.sources) if topic.latest is not None else 0


_views: Shared[ViewWatch] = Shared()
