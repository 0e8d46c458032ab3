"""When the members of a tier converged: the curve of a rollout. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.moment import read_moment

_FEWEST = 2  # the first and the last point


def converged_moments(snapshot: TierSnapshot) -> tuple[datetime, ...]:
    """When each member finished the run that converged it on what it is assigned now, oldest first.

    By the nodes' own clocks, for people. A node that ran again since counts from its latest run, since it keeps one
    report; one whose report has no readable time is left out.
    """
    if not isinstance(snapshot.desired, DesiredState):
        return ()
    found = []
    for node, member in snapshot.members.items():
        evidence = snapshot.evidence.get(node)
        if evidence is None or not isinstance(evidence.report, NodeReport) or not member.is_present:
            continue
        report = evidence.report
        if report.finished_at and report.has_converged_on(snapshot.desired.assignment_for(node)):
            moment = read_moment(report.finished_at)
            if moment is not None:
                found.append(moment)
    return tuple(sorted(found))


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
    return [points[round(step * last / (limit - 1))] for step in range(limit)]
