"""Which nodes have not begun because their moment within the spread has not come: for people only."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_NOT_BEGUN = frozenset({Standing.NOT_REPORTED, Standing.OLD_GENERATION})


def count_not_due(status: TierStatus, *, now: datetime) -> int:
    """How many members begin later, by the clock of whoever declared the state; no decision rests on it."""
    desired = status.desired
    if not isinstance(desired, DesiredState) or not any(each.pace.spread_over for each in desired.assignments):
        return 0
    return sum(find_beginning(node, now=now) is not None for node in status.nodes.values())


def find_beginning(node: NodeStatus, *, now: datetime) -> datetime | None:
    """When a member begins that has not begun because its moment has not come; None for all others."""
    if node.standing not in _NOT_BEGUN or node.assigned is None or not node.assigned.pace.spread_over:
        return None
    since = read_moment(node.assigned_at)
    begins = since and since + timedelta(seconds=node.assigned.delay_of(node.member.node))
    return begins if begins is not None and begins > now else None
