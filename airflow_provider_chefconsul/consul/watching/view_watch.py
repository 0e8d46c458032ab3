"""Watching tiers with a few blocking queries, which all viewers in an event loop share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.gathering import to_its_end
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import TierRecord
from airflow_provider_chefconsul.consul.watching.prefix_watch import KEYS, PrefixWatch, TierPath
from airflow_provider_chefconsul.consul.watching.topic import Subscription, Topic, Viewer, subscribed

_APART = 4  # queries; for more tiers, those of an environment share one, and then those of all environments
_MOST_APART = 32  # tiers that share no query because they are large, or cannot be read


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
        await to_its_end(shared.end() if is_last else shared.leave(environment, tier))


class ViewWatch:
    """The watched tiers: a few have a query each, more share one, which a change of any of them wakes."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._keys = Keys(settings.root)
        self._watches: dict[str, PrefixWatch] = {}
        self._forbidden: set[str] = set()
        self._apart: set[str] = set()
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
                self._apart.discard(prefix)
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
            if sum(not each.startswith(prefix) for each in self._watches.keys() - self._apart) < _APART:
                return prefix
        return prefixes[-1]

    def _open(self, prefix: str) -> PrefixWatch:
        """A watch of a prefix, which takes over the tiers of narrower ones."""
        client = ConsulClient(self._settings, retry_for=timedelta(0))
        wider = PrefixWatch(client, self._keys, prefix, on_denied=self._narrow, set_apart=self._set_apart)
        for each in [each for each in self._watches.keys() - self._apart if each.startswith(prefix)]:
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

    def _set_apart(self, watch: PrefixWatch, of: TierPath) -> bool:
        """Give a tier a query that it will not share; False when too many tiers have one."""
        if self._watches.get(watch.prefix) is not watch or len(self._apart) >= _MOST_APART:
            return False
        prefix = self._keys.tier(*of)
        self._apart.add(prefix)
        if watch.prefix != prefix:
            own = self._open(prefix)
            own.take(of, watch.tiers.pop(of))
            own.begin()
            if not watch.tiers:
                self._close(watch.prefix)
        return True


_views: Shared[ViewWatch] = Shared()
