"""Who belongs to a tier, as Consul's catalog and health checks tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.blocking import LONGEST_WAIT
from airflow_provider_chefconsul.exceptions import AccessDenied
from airflow_provider_chefconsul.rollout.membership import (
    ListedMembers,
    Member,
    Members,
    MetaMembers,
    Presence,
    Selector,
    ServiceMembers,
)

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.client import ConsulClient

EXTERNAL_HEALTH = "externalNodeHealth"
"""The check of a node without an agent that somebody else watches over: Consul ESM, or the simulated fleet.

``serfHealth`` is not theirs to give: once a minute Consul deregisters a node that has it but no agent.
"""

# Only nodes that are not alive: one without such a check (registered from outside, no agent) counts as present.
_NOT_ALIVE = {"filter": f'CheckID == "serfHealth" or CheckID == "{EXTERNAL_HEALTH}"'}
# An agent that joins is registered by a server at first, and adds its metadata by itself: no change of health, so
# nothing wakes the query then.
_LOOK_AT_METADATA = timedelta(seconds=5)


async def read_members(client: ConsulClient, selector: Selector) -> Members:
    """The members that a selector means today, each present unless its agent's health check is critical.

    Two small lists instead of ``/v1/health/service``, whose answer at 10,000 members is 14 MB.

    :raises AccessDenied: the token sees no nodes or services at all, which Consul does not call an error.
    """
    nodes = await _list_nodes(client, selector)  # each with its metadata
    if not nodes:
        await check_can_list(client, "node")
        if isinstance(selector, ServiceMembers):
            await check_can_list(client, "service")
    _, critical = await client.read("/v1/health/state/critical", _NOT_ALIVE)
    not_alive = {check["Node"] for check in critical}
    unhealthy = await _list_unhealthy(client, selector)
    names = selector.nodes if isinstance(selector, ListedMembers) else sorted(nodes)
    return {
        node: Member(
            node,
            Presence.ALIVE if node in nodes and node not in not_alive else Presence.FAILED,
            unhealthy.get(node, ()),
            nodes.get(node, {}),
        )
        for node in names
    }


async def read_addresses(client: ConsulClient) -> dict[str, str]:
    """By node, the address under which it is registered."""
    _, found = await client.read("/v1/catalog/nodes")
    return {entry["Node"]: entry["Address"] for entry in found}


async def _list_unhealthy(client: ConsulClient, selector: Selector) -> dict[str, tuple[str, ...]]:
    """By node, the checks of the service that do not pass; a service alone has such."""
    if not isinstance(selector, ServiceMembers):
        return {}
    _, found = await client.read(f"/v1/health/checks/{selector.service}", {"filter": 'Status != "passing"'})
    unhealthy: dict[str, tuple[str, ...]] = {}
    for check in found:
        said = f"{check['Name']} is {check['Status']}"
        unhealthy[check["Node"]] = (*unhealthy.get(check["Node"], ()), said)
    return unhealthy


async def await_member_change(client: ConsulClient, selector: Selector, index: int) -> int:
    """Block until a node of the selector may have joined, left, died or come back, and return the new index.

    A filter that matches nothing keeps the answer empty; Consul still wakes the query for every change behind it.
    Index 0 returns the present index at once.
    """
    wait = LONGEST_WAIT
    match selector:
        case ServiceMembers(service):
            path, params = f"/v1/health/service/{service}", {"filter": 'Node.Node == ""'}
        case MetaMembers(key, value):
            path, params = "/v1/health/state/any", {"filter": 'Node == ""', "node-meta": f"{key}:{value}"}
            wait = _LOOK_AT_METADATA
        case ListedMembers():
            path, params = "/v1/health/state/any", {"filter": 'Node == ""'}
    found, _ = await client.read(path, params, index=index, wait=wait)
    return found


async def _list_nodes(client: ConsulClient, selector: Selector) -> dict[str, Mapping[str, str]]:
    """By node, its metadata."""
    match selector:
        case ServiceMembers(service):
            _, found = await client.read(f"/v1/catalog/service/{service}")
        case MetaMembers(key, value):
            _, found = await client.read("/v1/catalog/nodes", {"node-meta": f"{key}:{value}"})
        case ListedMembers():
            _, found = await client.read("/v1/catalog/nodes")
    is_service = isinstance(selector, ServiceMembers)
    return {entry["Node"]: (entry["NodeMeta"] if is_service else entry["Meta"]) or {} for entry in found}


async def check_can_list(client: ConsulClient, kind: str) -> None:
    """Find out whether the token may list nodes or services at all.

    Every Consul lists at least its own server and the service "consul": seeing none means being allowed none.

    :param kind: ``node`` or ``service``.
    :raises AccessDenied: it may not.
    """
    path = f"/v1/catalog/{kind}s"
    _, found = await client.read(path)
    if not found:
        raise AccessDenied(
            f"{client.settings.url}{path} lists nothing: the ACL token may read no {kind}; "
            f'give its policy {kind}_prefix "" read'
        )
