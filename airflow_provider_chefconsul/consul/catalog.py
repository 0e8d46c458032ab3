"""Reading who belongs to a tier from Consul's catalog and health checks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.catalog_entry import (
    CheckEntry,
    InstanceEntry,
    NodeEntry,
    decode_checks,
    decode_instances,
    decode_nodes,
)
from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.domain.model.membership import (
    ListedMembers,
    Member,
    Members,
    MetaMembers,
    Presence,
    Selector,
    ServiceMembers,
)
from airflow_provider_chefconsul.domain.model.name import is_name, nearest
from airflow_provider_chefconsul.exceptions import AccessDenied, InvalidInput

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient
    from airflow_provider_chefconsul.consul.http.settings import ConsulSettings

EXTERNAL_HEALTH = "externalNodeHealth"
"""The check of a node without an agent, set by Consul ESM or the simulated fleet.

They cannot use ``serfHealth``: every minute Consul deregisters nodes that have it but no agent.
"""

EVERYTHING: Mapping[str, str] = MappingProxyType({})
"""No filter."""

_NODES = "/v1/catalog/nodes"
_AGENT_CHECKS = {"serfHealth", EXTERNAL_HEALTH}
_NODE_MAINTENANCE = "_node_maintenance"
_SERVICE_MAINTENANCE = "_service_maintenance:"
_NAMED_AT_ONCE = 32  # nodes per request by name, to keep it short
_MISSING = 5  # names in an error
_NAMED = 256  # nodes read by name; for more, the whole catalog is read


@dataclass(frozen=True, slots=True)
class Node:
    """A node in the catalog: its metadata, and Consul's id of the machine."""

    meta: Mapping[str, str]
    node_id: str | None


Nodes = Mapping[str, Node]
"""Nodes of the catalog, by name."""


@dataclass(frozen=True, slots=True)
class Health:
    """The failing checks of a datacenter.

    :param not_alive: nodes whose agent is not alive.
    :param maintenance: by node, why it is in maintenance.
    :param services: by lower-case service name and node, its failing checks.
    """

    not_alive: frozenset[str] = frozenset()
    maintenance: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def presence(self, node: str) -> Presence:
        """The presence of a node in the catalog."""
        return Presence.FAILED if node in self.not_alive else Presence.ALIVE

    def unhealthy(self, node: str, selector: Selector) -> tuple[str, ...]:
        """A node's problems: its maintenance and, if the tier is a service, that service's failing checks."""
        said = (self.maintenance[node],) if node in self.maintenance else ()
        if isinstance(selector, ServiceMembers):
            return said + self.services.get(selector.service.casefold(), {}).get(node, ())
        return said


async def read_members(client: ConsulClient, selector: Selector, known: Collection[str] = ()) -> Members:
    """Read the members that a selector selects now, and those known from before.

    Every read is consistent, since a newly elected server may be behind.

    :param known: nodes that stay members even when their service, or the node itself, is gone.
    :raises AccessDenied: the token sees no nodes or services at all; Consul reports no error then.
    :raises InvalidInput: Consul has the service under a name that differs in case.
    """
    nodes = await read_nodes(client, selector)
    checking = asyncio.create_task(read_health(client))
    naming = asyncio.create_task(read_named(client, set(known) - nodes.keys()))
    await gather_all(checking, naming)
    health = checking.result()
    return members_of(nodes, health, selector) | strays_of(naming.result(), health, selector, known)


def members_of(nodes: Nodes, health: Health, selector: Selector) -> dict[str, Member]:
    """The selector's members; listed names that Consul does not have are unknown."""
    names: Iterable[str] = selector.nodes if isinstance(selector, ListedMembers) else sorted(nodes)
    return {
        name: _member(name, nodes[name], health, selector) if name in nodes else Member(name, Presence.UNKNOWN)
        for name in names
    }


def strays_of(
    named: Mapping[str, Node | None], health: Health, selector: Selector, known: Collection[str]
) -> dict[str, Member]:
    """Members that the selector no longer selects.

    :param named: by name, the node in the catalog; None for a missing one, which is a member only if ``known``.
    """
    return {
        name: _member(name, node, health, selector) if node else Member(name, Presence.GONE)
        for name, node in named.items()
        if node is not None or name in known
    }


def _member(name: str, node: Node, health: Health, selector: Selector) -> Member:
    return Member(name, health.presence(name), health.unhealthy(name, selector), node.meta, node.node_id)


async def read_nodes(client: ConsulClient, selector: Selector, only: Mapping[str, str] = EVERYTHING) -> Nodes:
    """The nodes in the catalog that a selector selects.

    :param only: a filter, which a list of names needs not.
    """
    found: list[InstanceEntry] | list[NodeEntry]
    match selector:
        case ServiceMembers(service):
            found = await client.entries(f"/v1/catalog/service/{service}", decode_instances, only)
            _check_case(service, found)
        case MetaMembers(key, value):
            found = await client.entries(_NODES, decode_nodes, {"node-meta": f"{key}:{value}", **only})
        case ListedMembers(names):
            named = await read_named(client, names)
            if not any(named.values()):
                await check_can_list(client, "node")
            return {name: node for name, node in named.items() if node is not None}
    if not found:
        await check_can_list(client, "node")
        if isinstance(selector, ServiceMembers):
            await check_can_list(client, "service")
    return {entry.node: _node(entry) for entry in found}


async def read_named(client: ConsulClient, names: Collection[str]) -> dict[str, Node | None]:
    """By name, the node in the catalog; None for a missing one."""
    if len(names) > _NAMED or not all(is_name(name) for name in names):
        entries = await client.entries(_NODES, decode_nodes)
    else:
        ordered, entries = sorted(names), []
        for start in range(0, len(ordered), _NAMED_AT_ONCE):
            some = " or ".join(f'Node == "{name}"' for name in ordered[start : start + _NAMED_AT_ONCE])
            entries += await client.entries(_NODES, decode_nodes, {"filter": some})
    found = {entry.node: _node(entry) for entry in entries}
    return {name: found.get(name) for name in names}


async def read_health(client: ConsulClient, only: Mapping[str, str] = EVERYTHING) -> Health:
    """The failing checks, from two small lists that leave out what the token may not read."""
    not_alive, maintenance = set(), {}
    services: dict[str, dict[str, tuple[str, ...]]] = {}
    for status in ("critical", "warning"):
        path = f"/v1/health/state/{status}"
        for check in await client.entries(path, decode_checks, only, may_be_partial=True):
            if check.service:
                of_service = services.setdefault(check.service.casefold(), {})
                of_service[check.node] = (*of_service.get(check.node, ()), _describe(check))
            elif status == "critical" and check.id in _AGENT_CHECKS:
                not_alive.add(check.node)
            elif status == "critical" and check.id == _NODE_MAINTENANCE:
                maintenance[check.node] = _describe(check)
    return Health(frozenset(not_alive), maintenance, services)


async def read_addresses(client: ConsulClient) -> dict[str, str]:
    """By node, its registered address."""
    return {entry.node: entry.address for entry in await client.entries(_NODES, decode_nodes)}


async def check_can_list(client: ConsulClient, kind: str) -> None:
    """Check that the token may list nodes or services at all.

    Every Consul has at least its own server and the service "consul", so an empty list means a missing permission; not
    so in a partition or namespace of one's own, where they are not listed.

    :param kind: ``node`` or ``service``.
    :raises AccessDenied: the list is empty.
    """
    path = f"/v1/catalog/{kind}s"
    _, found = await client.read(path)
    if not found and _lists_servers(client.settings, kind):
        raise AccessDenied(
            f"{client.settings.url}{path} lists nothing: the ACL token may read no {kind}; "
            f'give its policy {kind}_prefix "" read'
        )


def _lists_servers(settings: ConsulSettings, kind: str) -> bool:
    asked = {settings.partition, settings.namespace if kind == "service" else None}  # nodes have no namespace
    return asked <= {None, "default"}


async def check_names(client: ConsulClient, what: str, names: Collection[str]) -> None:
    """Check that Consul lists nodes with these names.

    :param what: what the names are, for the error.
    :raises InvalidInput: names the missing nodes and the most similar ones.
    """
    missing = [name for name, node in (await read_named(client, names)).items() if node is None]
    if not missing:
        return
    listed = [entry.node for entry in await client.entries(_NODES, decode_nodes)]
    named = "; ".join(_describe_missing(name, listed) for name in missing[:_MISSING])
    more = f"; and {len(missing) - _MISSING} more" if len(missing) > _MISSING else ""
    raise InvalidInput(f"{what}: {named}{more}")


def _describe_missing(name: str, listed: Collection[str]) -> str:
    near = nearest(name, listed)
    hint = f"did you mean {near!r}?" if near else "and none with a similar name"
    return f"Consul lists no node {name!r}, {hint}"


def _node(entry: NodeEntry | InstanceEntry) -> Node:
    return Node(entry.meta or {}, entry.machine or None)


def _describe(check: CheckEntry) -> str:
    if check.id == _NODE_MAINTENANCE or check.id.startswith(_SERVICE_MAINTENANCE):
        return f"in maintenance: {check.notes}" if check.notes else "in maintenance"
    return f"{check.name or check.id} is {check.status}"


def _check_case(service: str, found: Collection[InstanceEntry]) -> None:
    """Refuse a service name that differs in case, which Consul ignores in services but not in keys, and so in tiers.

    :raises InvalidInput: the service has another name.
    """
    names = {entry.service or service for entry in found}
    if names and service not in names:
        raise InvalidInput(
            f"Consul has no service {service!r}, only {min(names)!r}; give the tier, or members='service:…', that name"
        )
