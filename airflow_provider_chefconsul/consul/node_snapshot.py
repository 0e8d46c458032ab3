"""Reading what concerns one node of a tier, instead of the whole tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import members_of, read_health, read_nodes
from airflow_provider_chefconsul.consul.record import read_tier
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


async def read_node(
    view: SharedView, environment: str, tier: str, selector: Selector, node: str
) -> TierSnapshot | None:
    """A tier with one of its members: the desired state and that node's report, two keys.

    :returns: None for a node of which only the whole tier tells where it stands: one that has not reported may do so
        under another name, and one that is not selected may still be a member.
    """
    if not is_name(node):
        return None
    if isinstance(selector, ListedMembers):
        selector = ListedMembers(tuple(each for each in selector.nodes if each == node))
    desired = await view.client.get(view.keys.desired(environment, tier))
    report = await view.client.get(view.keys.report(environment, tier, node))
    if desired is None or report is None:
        return None
    only = {"filter": f'Node == "{node}"'}
    nodes = await read_nodes(view.client, selector, only)
    if node not in nodes:
        return None
    record = await read_tier(view.client, view.keys, environment, tier, [desired, report])
    members = members_of(nodes, await read_health(view.client, only), selector)
    return TierSnapshot(record.desired, members, record.evidence)
