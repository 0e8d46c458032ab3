"""Which nodes' runs take longer than those of the others. Pure; time is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
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
    running = {name: status.nodes[name] for name in status.by_standing.get(Standing.RUNNING, ())}
    if not any(_is_older(node, _AT_LEAST, now) for node in running.values()):
        return []  # as usual, in a tier that may have thousands
    usual: dict[int, timedelta] = {}
    for node in status.nodes.values():
        if node.assigned is not None and (took := _find_length(node)) is not None:
            generation = node.assigned.generation
            usual[generation] = max(took, usual.get(generation, took))
    return [name for name, node in running.items() if _is_older(node, _find_limit(node, usual), now)]


def _find_limit(node: NodeStatus, usual: Mapping[int, timedelta]) -> timedelta:
    took = usual.get(node.assigned.generation) if node.assigned is not None else None
    return LATE_AFTER if took is None else max(_TIMES_LONGER * took, _AT_LEAST)


def _is_older(node: NodeStatus, limit: timedelta, now: datetime) -> bool:
    return node.since is not None and now - node.since > limit


def _find_length(node: NodeStatus) -> timedelta | None:
    """How long the run took that brought a node there."""
    report = node.report if node.standing is Standing.CONVERGED else None
    begun, ended = (read_moment(report.started_at), read_moment(report.finished_at)) if report else (None, None)
    return ended - begun if begun is not None and ended is not None else None
