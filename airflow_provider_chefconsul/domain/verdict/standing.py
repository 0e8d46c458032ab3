"""Where each member of a tier stands towards its assignment, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.exceptions import MalformedDocument

_NAMED = 8  # nodes that a line names for each standing


class Standing(StrEnum):
    """Where a member stands towards its assignment; all but ``converged``, ``absent`` and ``left`` hold a wait up."""

    CONVERGED = "converged"
    ABSENT = "absent"
    LEFT = "left"
    LOST = "lost"
    UNKNOWN = "unknown"
    NOT_REPORTED = "not_reported"
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


@dataclass(frozen=True)
class Summary:
    """Where each member that is assigned the generation stands: node name to standing and, in words, why."""

    generation: int
    nodes: Mapping[str, tuple[Standing, str]] = field(default_factory=dict)

    @cached_property
    def by_standing(self) -> dict[Standing, list[str]]:
        """Node names by standing, in order; standings that nobody has are left out."""
        grouped: dict[Standing, list[str]] = {}
        for node in sorted(self.nodes, key=natural_order):
            grouped.setdefault(self.nodes[node][0], []).append(node)
        return {standing: grouped[standing] for standing in Standing if standing in grouped}

    def count(self, standing: Standing) -> int:
        """How many members stand so."""
        return len(self.by_standing.get(standing, ()))

    @property
    def present(self) -> int:
        """How many members are neither absent nor have left."""
        return len(self.nodes) - sum(self.count(standing) for standing in EXCUSED)

    def waiting(self) -> list[str]:
        """By standing, how many hold a wait up, and who: "2 failed (web-1, web-2)"."""
        return self._name(standing for standing in Standing if standing not in {Standing.CONVERGED, *EXCUSED})

    def excused(self) -> list[str]:
        """By standing, how many are not asked for, and who: "1 absent (web-5)"."""
        return self._name(standing for standing in Standing if standing in EXCUSED)

    def _name(self, standings: Iterable[Standing]) -> list[str]:
        return [
            f"{len(nodes)} {standing} ({', '.join(nodes[:_NAMED])}{', …' if len(nodes) > _NAMED else ''})"
            for standing in standings
            if (nodes := self.by_standing.get(standing))
        ]

    def __str__(self) -> str:
        """How many have converged, and who has not: a line that changes only when a standing does."""
        converged = f"{self.count(Standing.CONVERGED)} of {len(self.nodes)} members converged"
        return ", ".join([converged, *self.excused(), *self.waiting()])


def judge(
    member: Member,
    assignment: Assignment,
    evidence: Evidence | None,
    *,
    failures_after: int = 0,
    was_seen_alive: bool = False,
    has_converged_before: bool = False,
    must_be_healthy: bool = False,
) -> tuple[Standing, str]:
    """Where one member stands, and why: evidence first, presence second.

    What a node reported for its assignment counts whatever became of the node since; only where it reported nothing
    does it matter whether it was there.

    :param failures_after: a failure in a report with a ModifyIndex up to this is history.
    :param was_seen_alive: whether its agent was seen alive since the wait began.
    :param has_converged_before: it was seen converged on this assignment, and nothing was seen since that takes it
        away; for reports that do not say what the run before came to.
    :param must_be_healthy: whether a converged member with failing checks is held up by them.
    """
    standing, why = _judge_report(
        member, assignment, evidence, failures_after, has_converged_before=has_converged_before
    )
    if not member.is_present:
        is_named_only = member.presence is Presence.UNKNOWN and evidence is None
        return _judge_missing(member, standing, why, was_seen_alive=was_seen_alive, is_named_only=is_named_only)
    if standing is Standing.CONVERGED and must_be_healthy and member.unhealthy:
        return Standing.UNHEALTHY, ", ".join(member.unhealthy)
    return standing, why


def _judge_missing(
    member: Member, reported: Standing, why: str, *, was_seen_alive: bool, is_named_only: bool
) -> tuple[Standing, str]:
    """Where a member stands whose agent is not alive, by what its report alone says."""
    is_listed = member.presence is Presence.FAILED
    dead = "its agent is not alive" if is_listed else "it is gone from Consul's catalog"
    match reported:
        case Standing.FAILED | Standing.FAILED_EARLIER:
            return reported, why
        case Standing.WRONG_STATE | Standing.MALFORMED:
            return Standing.LOST, f"{dead}; {why}"
        case Standing.RUNNING | Standing.REBOOTING | Standing.INTERRUPTED:
            return Standing.LOST, f"{dead}; it last reported {reported} on the generation"
        case Standing.CONVERGED if is_listed:
            return Standing.LOST, f"{dead}; it had converged"
        case _ if is_named_only and not was_seen_alive:
            return Standing.UNKNOWN, "Consul does not list it, and it has never reported"
        case _ if not is_listed:
            return Standing.LEFT, dead
        case _ if was_seen_alive:
            return Standing.LOST, f"{dead}; it was alive since the wait began"
        case _:
            return Standing.ABSENT, dead


def _judge_report(
    member: Member,
    assignment: Assignment,
    evidence: Evidence | None,
    failures_after: int,
    *,
    has_converged_before: bool,
) -> tuple[Standing, str]:
    """Where a member stands by what it reported, were its agent alive."""
    if evidence is None:
        return Standing.NOT_REPORTED, "has never reported"
    report = evidence.report
    if isinstance(report, MalformedDocument):
        return Standing.MALFORMED, str(report)
    if report.is_of_other_machine(member.node_id):
        return Standing.NOT_REPORTED, "its report was written by an earlier machine of that name"
    if report.generation is None:
        reason = str(report.error) if report.error else "no reason given"
        return Standing.NOT_REPORTED, f"its last run ended before it had read a generation: {reason}"
    if not report.is_about(assignment):
        why = f"{report.status} on generation {report.generation}"
        is_same = report.generation == assignment.generation
        return Standing.OLD_GENERATION, f"{why} of an earlier tier of that name" if is_same else why
    if report.status is Status.FAILED or report.is_after_failure:
        # When a run that has not ended began, nobody can tell on a later try whether the failure before it is history.
        is_history = evidence.modify_index <= failures_after or (report.is_after_failure and failures_after > 0)
        return _judge_failure(report, is_history=is_history)
    has_converged = report.shows_success_before or (report.is_silent_of_before and has_converged_before)
    return _judge_run(report, assignment, stays_converged=member.is_present and has_converged)


def _judge_failure(report: NodeReport, *, is_history: bool) -> tuple[Standing, str]:
    reason = str(report.error) if report.error else "no reason given"
    if report.is_unfinished:
        reason = f"the run before failed, and the one since {report.started_at} has not ended ({report.status})"
    if is_history:
        return Standing.FAILED_EARLIER, f"failed before this try, its next run decides: {reason}"
    return Standing.FAILED, reason


def _judge_run(report: NodeReport, assignment: Assignment, *, stays_converged: bool) -> tuple[Standing, str]:
    match report.status:
        case _ if report.state != assignment.state:
            return Standing.WRONG_STATE, f"reports state {report.state}, not {assignment.state}"
        case Status.RUNNING if stays_converged:
            return Standing.CONVERGED, ""
        case Status.RUNNING:
            return Standing.RUNNING, f"since {report.started_at}"
        case Status.REBOOTING:
            return Standing.REBOOTING, f"since {report.finished_at or report.started_at}"
        case Status.INTERRUPTED:
            return Standing.INTERRUPTED, f"since {report.finished_at or report.started_at}; its next run decides"
        case _:
            return Standing.CONVERGED, ""
