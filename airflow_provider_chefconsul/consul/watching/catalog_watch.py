"""Watching the members of tiers with a few blocking queries, which all viewers in an event loop share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from airflow_provider_chefconsul.consul.catalog import (
    Health,
    Node,
    Nodes,
    members_of,
    read_health,
    read_named,
    read_nodes,
)
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.watching.blocking_queries import Query
from airflow_provider_chefconsul.consul.watching.topic import Topic
from airflow_provider_chefconsul.consul.watching.watch import SharedWatch
from airflow_provider_chefconsul.domain.model.membership import Members, Selector, ServiceMembers
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

T = TypeVar("T")
_SETTLE = 0.5  # seconds
_REST = 0.1  # seconds; any check in the datacenter may wake a query
# Each of these is woken by its own table of the catalog, answers with little or nothing, and is never served by the
# streaming backend of later Consuls, whose indexes and filters follow other rules.
_QUERIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "critical": ("/v1/health/state/critical", {"filter": 'Node == ""'}),
    "warning": ("/v1/health/state/warning", {"filter": 'Node == ""'}),
    "services": ("/v1/catalog/services", {}),
    "nodes": ("/v1/catalog/nodes", {"filter": 'Node == ""'}),
}
_CHECKS, _NODES = frozenset({"critical", "warning"}), frozenset({"nodes"})
_INSTANCES = frozenset({"services", "nodes"})


class CatalogWatch(SharedWatch):
    """The watched selectors, the failing checks, and nodes that no selector selects any more.

    :param client: owned by the watch, which closes it.
    """

    def __init__(self, client: ConsulClient) -> None:
        super().__init__(client, {name: self._query(name) for name in _QUERIES}, settle=_SETTLE, rest=_REST)
        self.selectors: dict[Selector, Topic[Nodes]] = {}
        self.health: Topic[Health] = Topic(self, _CHECKS)
        self.named: Topic[Mapping[str, Node | None]] = Topic(self, _NODES)
        self.names: Counter[str] = Counter()
        """Nodes to look up by name, whether or not a selector selects them, and how many viewers want each."""
        self._members: dict[Selector, tuple[Nodes, Health, Members]] = {}

    def topic(self, selector: Selector) -> Topic[Nodes]:
        """The topic of the nodes that a selector selects."""
        if selector not in self.selectors:
            self.selectors[selector] = Topic(self, _INSTANCES if isinstance(selector, ServiceMembers) else _NODES)
        return self.selectors[selector]

    def topics(self) -> Collection[Topic[Any]]:
        """All watched topics."""
        return (self.health, self.named, *self.selectors.values())

    def size(self) -> int:
        """The number of nodes that are selected."""
        return sum(len(topic.latest) for topic in self.selectors.values() if topic.latest is not None)

    def members(self, selector: Selector, nodes: Nodes, health: Health) -> Members:
        """The selector's members; the same object for all viewers that see the same."""
        kept = self._members.get(selector)
        if kept is None or kept[0] is not nodes or kept[1] is not health:
            members = members_of(nodes, health, selector)
            if kept is not None and kept[2] == members:
                members = kept[2]  # type: ignore[assignment]
            kept = self._members[selector] = (nodes, health, members)
        return kept[2]

    def forget(self, selector: Selector) -> None:
        """Stop watching a selector."""
        self.selectors.pop(selector, None)
        self._members.pop(selector, None)

    async def read(self, topics: Collection[Topic[Any]]) -> Mapping[str, int]:
        """Read these topics."""
        reads: list[asyncio.Task[None]] = []

        def plan(topic: Topic[T], read: Callable[[], Awaitable[T]]) -> None:
            if topic in topics:
                reads.append(asyncio.create_task(_read(topic, read)))

        plan(self.health, lambda: read_health(self.client))
        # Names that are asked for before the read begins are included.
        plan(self.named, lambda: read_named(self.client, frozenset(self.names)))
        for selector, topic in self.selectors.items():
            plan(topic, lambda selector=selector: read_nodes(self.client, selector))  # type: ignore[misc]
        await gather_all(*reads)
        return {}

    def _query(self, name: str) -> Query:
        path, params = _QUERIES[name]

        async def query(index: int, wait: timedelta) -> int:
            return (await self.client.read(path, params, index=index, wait=wait, may_be_partial=True))[0]

        return query


async def _read(topic: Topic[T], read: Callable[[], Awaitable[T]]) -> None:
    number = topic.begin()
    try:
        found: T | ChefConsulError = await read()
    except ConsulUnavailable:
        raise
    except ChefConsulError as error:
        found = error
    topic.finish(number, topic.latest if topic.latest is not None and found == topic.latest else found)
