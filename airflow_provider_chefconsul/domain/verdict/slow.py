"""Which nodes' runs take longer than those of the others. Pure; time is a parameter."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

LATE_AFTER = timedelta(minutes=15)
"""A rollout whose nodes are not there by then needs somebody to look."""
_TIMES_LONGER = 3  # than the slowest of the others
_AT_LEAST = timedelta(minutes=2)  # where they took seconds


def find_slow(status: TierStatus, *, now: datetime) -> list[str]:
    """The nodes whose run goes on far longer than those took that brought others to the same assignment."""
    usual: dict[int, timedelta] = {}
    for node in status.nodes.values():
        if node.assigned is not None and (took := _find_length(node)) is not None:
            generation = node.assigned.generation
            usual[generation] = max(took, usual.get(generation, took))
    slow = []
    for name in status.by_standing.get(Standing.RUNNING, ()):
        node = status.nodes[name]
        took = None if node.assigned is None else usual.get(node.assigned.generation)
        limit = LATE_AFTER if took is None else max(_TIMES_LONGER * took, _AT_LEAST)
        if node.since is not None and now - node.since > limit:
            slow.append(name)
    return slow


def _find_length(node: NodeStatus) -> timedelta | None:
    """How long the run took that brought a node there."""
    report = node.report if node.standing is Standing.CONVERGED else None
    begun, ended = (read_moment(report.started_at), read_moment(report.finished_at)) if report else (None, None)
    return ended - begun if begun is not None and ended is not None else None
