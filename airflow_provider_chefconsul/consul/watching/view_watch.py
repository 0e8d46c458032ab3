"""Watching tiers with a few blocking queries, which all viewers in an event loop share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
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
from airflow_provider_chefconsul.exceptions import AccessDenied, ChefConsulError, ConsulUnavailable

TierPath = tuple[str, str]
"""An environment and a tier."""
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
        self._forbidden: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()

    def topic(self, environment: str, tier: str) -> Topic[TierRecord]:
        """A tier's topic."""
        watch = self._watch_of(environment, tier)
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
        watches = list(self._watches.values())
        self._watches.clear()  # so that none of them is replaced
        await asyncio.gather(*(watch.end() for watch in watches), *self._ending)

    def _watch_of(self, environment: str, tier: str) -> PrefixWatch:
        """The watch of a tier, running."""
        widening = self._keys.tier(environment, tier), self._keys.environment(environment), f"{self._settings.root}/"
        prefixes = [prefix for prefix in widening if prefix not in self._forbidden]
        watch = next((self._watches[prefix] for prefix in prefixes if prefix in self._watches), None)
        if watch is None:
            watch = self._open(self._choose(prefixes))
        if not watch.is_running:
            watch.begin()
        return watch

    def _choose(self, prefixes: Sequence[str]) -> str:
        """The narrowest prefix that leaves only a few watches, or the widest."""
        for prefix in prefixes:
            if sum(not each.startswith(prefix) for each in self._watches) < _APART:
                return prefix
        return prefixes[-1]

    def _open(self, prefix: str) -> PrefixWatch:
        """A watch of a prefix, which takes over the tiers of narrower ones."""
        client = ConsulClient(self._settings, retry_for=timedelta(0))
        wider = PrefixWatch(client, self._keys, prefix, on_denied=self._narrow)
        for each in [each for each in self._watches if each.startswith(prefix)]:
            for of, topic in self._close(each).items():
                wider.take(of, topic)
        self._watches[prefix] = wider
        return wider

    def _close(self, prefix: str) -> Mapping[TierPath, Topic[TierRecord]]:
        """End a watch and return the topics that it leaves."""
        watch = self._watches.pop(prefix)
        left, watch.tiers = watch.tiers, {}
        task = asyncio.create_task(watch.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return left

    def _narrow(self, watch: PrefixWatch) -> bool:
        """Use narrower prefixes than one that the token may not list; False where it is a tier's own."""
        if self._watches.get(watch.prefix) is not watch or any(
            self._keys.tier(*of) == watch.prefix for of in watch.tiers
        ):
            return False
        self._forbidden.add(watch.prefix)
        for of, topic in self._close(watch.prefix).items():
            self._watch_of(*of).take(of, topic)
        return True


class PrefixWatch(SharedWatch):
    """Tiers that may have changed whenever a key below a prefix has.

    :param client: owned by the watch, which closes it.
    :param on_denied: called when the token may not list the prefix; returns whether other watches took the tiers over.
    """

    def __init__(
        self, client: ConsulClient, keys: Keys, prefix: str, *, on_denied: Callable[[PrefixWatch], bool]
    ) -> None:
        super().__init__(client, dict.fromkeys(KEYS, self._find_index), settle=_SETTLE, rest=_REST)
        self.prefix = prefix
        self.tiers: dict[TierPath, Topic[TierRecord]] = {}
        self._keys = keys
        self._on_denied = on_denied

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
        chosen = {of: topic for of, topic in self.tiers.items() if topic in topics}
        numbers = {of: topic.begin() for of, topic in chosen.items()}
        if len(chosen) == 1:
            (of,) = chosen
            index, entries = await self.client.tree(self._keys.tier(*of))
            chosen[of].finish(numbers[of], await self._read_tier(*of, entries, chosen[of].latest))
            return {"keys": index} if self._keys.tier(*of) == self.prefix else {}
        index = await self.client.fold(self.prefix)
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

    async def _run(self) -> None:
        try:
            await super()._run()
        except AccessDenied:
            if not self._on_denied(self):
                raise

    async def _find_index(self, index: int, wait: timedelta) -> int:
        return await self.client.fold(self.prefix, index=index, wait=wait)


def _size(topic: Topic[TierRecord]) -> int:
    return len(topic.latest.sources) if topic.latest is not None else 0


_views: Shared[ViewWatch] = Shared()
