"""One viewer's subscription to the members of a tier; viewers in an event loop share a watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from airflow_provider_chefconsul.consul.catalog import Health, Node, Nodes, strays_of
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.gathering import to_its_end
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.consul.watching.catalog_watch import CatalogWatch
from airflow_provider_chefconsul.consul.watching.topic import Subscription, Trouble, Viewer, subscribed
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Members, Presence, Selector


class MembersSubscription:
    """One viewer's subscription to the members that a selector selects.

    :param known: earlier members, which stay members, as do all seen later; None forgets members that are gone.
    """

    def __init__(
        self,
        watch: CatalogWatch,
        selector: Selector,
        known: Collection[str] | None,
        viewer: Viewer,
        stack: ExitStack,
    ) -> None:
        self._nodes = stack.enter_context(subscribed(watch.topic(selector), viewer))
        self._health: Subscription[Health] = stack.enter_context(subscribed(watch.health, viewer))
        self._named: Subscription[Mapping[str, Node | None]] | None = None
        self._naming = stack.enter_context(ExitStack())
        self._watch = watch
        self._selector = selector
        self._viewer = viewer
        self._remembers = known is not None
        self._seen = set(known or ())
        self._listed: set[str] = set()
        self._names: set[str] = set()
        self._last_nodes: Nodes | None = None
        stack.callback(self._forget_names)

    @property
    def since(self) -> float:
        """When the viewer subscribed, by the monotonic clock."""
        return self._nodes.since

    @property
    def trouble(self) -> Trouble | None:
        """Why Consul is unavailable; None while it is available."""
        return self._watch.trouble

    def nodes(self) -> Nodes | None:
        """The nodes that the selector selects now; None until they have been read.

        :raises ChefConsulError: they cannot be listed.
        """
        nodes = self._nodes.latest
        if nodes is not None and nodes is not self._last_nodes and self._remembers:
            self._last_nodes = nodes
            self._listed.update(nodes)
            self._seen.update(nodes)
        return nodes

    def members(self, guests: Collection[str]) -> Members | None:
        """The members; None until they have been read.

        :param guests: further nodes that are members while the catalog lists them.
        :raises ChefConsulError: they cannot be listed.
        """
        nodes, health = self.nodes(), self._health.latest
        if nodes is None or health is None:
            return None
        members = self._watch.members(self._selector, nodes, health)
        strays = (self._seen | set(guests)) - members.keys() if guests else self._seen - members.keys()
        gone = {
            name: replace(members[name], presence=Presence.GONE)
            for name in (self._selector.nodes if isinstance(self._selector, ListedMembers) else ())
            if members[name].presence is Presence.UNKNOWN and name in self._listed
        }
        if not strays:
            return {**members, **gone} if gone else members
        if not strays <= self._names:
            self._name(strays)
        named = self._named.latest if self._named else None
        if named is None:
            return None
        found = {name: named.get(name) for name in sorted(strays)}
        return {**members, **gone, **strays_of(found, health, self._selector, self._seen)}

    def _name(self, names: set[str]) -> None:
        new = names - self._names
        self._names |= new
        self._watch.names.update(new)
        self._watch.named.outdate()
        self._naming.close()
        self._named = self._naming.enter_context(subscribed(self._watch.named, self._viewer))

    def _forget_names(self) -> None:
        self._watch.names.subtract(self._names)
        self._watch.names = +self._watch.names


@asynccontextmanager
async def subscribed_to_members(
    settings: ConsulSettings, selector: Selector, known: Collection[str] | None, viewer: Viewer
) -> AsyncGenerator[MembersSubscription]:
    """Subscribe to a tier's members; all viewers in the event loop with the same settings share a watch.

    :param known: as in :class:`MembersSubscription`.
    :param viewer: set whenever there is something new, or Consul becomes unavailable.
    """
    watch = _catalogs.acquire(settings, lambda: CatalogWatch(ConsulClient(settings, retry_for=timedelta(0))))
    try:
        if not watch.is_running:
            watch.begin()
        with ExitStack() as stack:
            yield MembersSubscription(watch, selector, known, viewer, stack)
    finally:
        if selector in watch.selectors and not watch.selectors[selector].viewers:
            watch.forget(selector)
        if _catalogs.release(settings, watch):
            await to_its_end(watch.end())


_catalogs: Shared[CatalogWatch] = Shared()
