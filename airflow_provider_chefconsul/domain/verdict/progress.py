"""When the members of a tier converged: the curve of a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_FEWEST = 2  # the first and the last point


def converged_moments(status: TierStatus) -> tuple[datetime, ...]:
    """When each member finished the run that converged it on what it is assigned now, oldest first.

    By the nodes' own clocks, for people. A node that ran again since counts from its latest run, since it keeps one
    report; one whose report has no readable time is left out.
    """
    found = [
        read_moment(node.report.finished_at)
        for node in status.nodes.values()
        if node.has_converged and node.report is not None and node.report.status is Status.SUCCEEDED
    ]
    return tuple(sorted(moment for moment in found if moment is not None))


def thin_out(moments: Sequence[datetime], limit: int) -> list[tuple[datetime, int]]:
    """A curve's points, each a moment and how many had converged by then: at most ``limit``, the first and last kept.

    :param moments: in order.
    :param limit: at least 2.
    """
    points: list[tuple[datetime, int]] = []
    for count, moment in enumerate(moments, start=1):
        if points and points[-1][0] == moment:
            points[-1] = (moment, count)
        else:
            points.append((moment, count))
    limit = max(limit, _FEWEST)
    if len(points) <= limit:
        return points
    last = len(points) - 1
    return [points[round(number * last / (limit - 1))] for number in range(limit)]
