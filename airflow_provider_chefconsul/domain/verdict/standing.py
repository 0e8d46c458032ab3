"""Where each member of a tier stands towards its assignment. Decided here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment


class Standing(StrEnum):
    """Where a member stands towards its assignment; all but ``converged``, ``absent`` and ``left`` hold a wait up."""

    CONVERGED = "converged"
    ABSENT = "absent"
    LEFT = "left"
    LOST = "lost"
    UNKNOWN = "unknown"
    NOT_REPORTED = "not_reported"
    WAITING = "waiting"
    RUNNING = "running"
    REBOOTING = "rebooting"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FAILED_EARLIER = "failed_earlier"
    OLD_GENERATION = "old_generation"
    WRONG_STATE = "wrong_state"
    MALFORMED = "malformed_report"
    UNHEALTHY = "unhealthy"


EXCUSED = frozenset({Standing.ABSENT, Standing.LEFT})
"""Members that are not asked for: they were not there, and catch up by themselves should they come back."""

BROKEN = frozenset({Standing.FAILED, Standing.MALFORMED, Standing.WRONG_STATE})
"""Members whose own report says that they did not get there."""

_WITHOUT_TIME = {Standing.ABSENT, Standing.LEFT, Standing.LOST, Standing.UNKNOWN, Standing.MALFORMED}


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where one member of a tier stands, and all that this rests on; what is said of it is worded elsewhere.

    :param assigned: None when the tier has no desired state that can be read.
    :param assigned_at: ISO 8601, when it was assigned that; None where a later write hides when.
    :param standing: None when nothing is assigned.
    :param reported: where it would stand by its report alone, were its agent alive.
    """

    member: Member
    assigned: Assignment | None = None
    assigned_at: str | None = None
    evidence: Evidence | None = None
    standing: Standing | None = None
    reported: Standing | None = None

    @property
    def report(self) -> NodeReport | None:
        """Its report, where there is one that can be read."""
        return self.evidence.report if self.evidence and isinstance(self.evidence.report, NodeReport) else None

    @property
    def unreadable(self) -> Unreadable | None:
        """Its report, where there is one that cannot be read."""
        return self.evidence.report if self.evidence and isinstance(self.evidence.report, Unreadable) else None

    @property
    def has_converged(self) -> bool:
        """Whether it is where it should be."""
        return self.standing is Standing.CONVERGED

    @property
    def is_excused(self) -> bool:
        """Whether it is not asked for."""
        return self.standing in EXCUSED

    def is_assigned(self, generation: int) -> bool:
        """Whether this generation is the one that it is assigned."""
        return self.assigned is not None and self.assigned.generation == generation

    @property
    def since(self) -> datetime | None:
        """Since when it has this standing, timezone-aware, by its writer's clock; None if unknown."""
        if self.standing in _WITHOUT_TIME:
            return None
        if self.standing is Standing.OLD_GENERATION:
            return read_moment(self.assigned_at)
        if self.report is None:
            return None
        begun_only = self.standing in {Standing.WAITING, Standing.RUNNING}
        return read_moment(self.report.started_at if begun_only else self.report.finished_at or self.report.started_at)


def judge(
    member: Member,
    desired: DesiredState,
    evidence: Evidence | None,
    *,
    failures_after: int = 0,
    was_seen_alive: bool = False,
    has_converged_before: bool = False,
    must_be_healthy: bool = False,
) -> NodeStatus:
    """Where one member stands: evidence first, presence second.

    What a node reported for its assignment counts whatever became of the node since; only where it reported nothing
    does it matter whether it was there.

    :param failures_after: a failure in a report with a ModifyIndex up to this is history.
    :param was_seen_alive: whether its agent was seen alive since the wait began.
    :param has_converged_before: it was seen converged on this assignment, and nothing was seen since that takes it
        away; for reports that do not say what the run before came to.
    :param must_be_healthy: whether a converged member with failing checks is held up by them.
    """
    assigned = desired.assignment_for(member.node)
    assigned_at = desired.written_at if assigned.generation == desired.generation else None
    reported = _judge_report(member, assigned, evidence, failures_after, has_converged_before=has_converged_before)
    if not member.is_present:
        is_named_only = member.presence is Presence.UNKNOWN and evidence is None
        standing = _judge_missing(member, reported, was_seen_alive=was_seen_alive, is_named_only=is_named_only)
    elif reported is Standing.CONVERGED and must_be_healthy and member.unhealthy:
        standing = Standing.UNHEALTHY
    else:
        standing = reported
    return NodeStatus(member, assigned, assigned_at, evidence, standing, reported)


def _judge_missing(member: Member, reported: Standing, *, was_seen_alive: bool, is_named_only: bool) -> Standing:
    """Where a member stands whose agent is not alive, by what its report alone says."""
    is_listed = member.presence is Presence.FAILED
    match reported:
        case Standing.FAILED | Standing.FAILED_EARLIER:
            return reported
        case Standing.WAITING | Standing.RUNNING | Standing.REBOOTING | Standing.INTERRUPTED:
            return Standing.LOST
        case Standing.WRONG_STATE | Standing.MALFORMED:
            return Standing.LOST
        case Standing.CONVERGED if is_listed:
            return Standing.LOST
        case _ if is_named_only and not was_seen_alive:
            return Standing.UNKNOWN
        case _ if not is_listed:
            return Standing.LEFT
        case _ if was_seen_alive:
            return Standing.LOST
        case _:
            return Standing.ABSENT


def _judge_report(
    member: Member,
    assigned: Assignment,
    evidence: Evidence | None,
    failures_after: int,
    *,
    has_converged_before: bool,
) -> Standing:
    """Where a member stands by what it reported, were its agent alive."""
    if evidence is None:
        return Standing.NOT_REPORTED
    report = evidence.report
    if isinstance(report, Unreadable):
        return Standing.MALFORMED
    if report.is_of_other_machine(member.node_id) or report.generation is None:
        return Standing.NOT_REPORTED
    if not report.is_about(assigned):
        return Standing.OLD_GENERATION
    if report.status is Status.FAILED or report.is_after_failure:
        # When a run that has not ended began, nobody can tell on a later try whether the failure before it is history.
        is_history = evidence.modify_index <= failures_after or (report.is_after_failure and failures_after > 0)
        return Standing.FAILED_EARLIER if is_history else Standing.FAILED
    has_converged = report.shows_success_before or (report.is_silent_of_before and has_converged_before)
    match report.status:
        case _ if report.state != assigned.state:
            return Standing.WRONG_STATE
        case Status.RUNNING if not (member.is_present and has_converged):
            return Standing.RUNNING
        case Status.WAITING | Status.REBOOTING | Status.INTERRUPTED as status:
            return Standing(status)
        case _:
            return Standing.CONVERGED
