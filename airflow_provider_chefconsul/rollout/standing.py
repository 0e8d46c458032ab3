"""Where each member of a tier stands towards its assignment, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.desired import Assignment
from airflow_provider_chefconsul.rollout.membership import Member
from airflow_provider_chefconsul.rollout.name import natural_order
from airflow_provider_chefconsul.rollout.report import NodeReport, Status

_NAMED = 8  # nodes that a line names for each standing


class Standing(StrEnum):
    """Where a member stands towards its assignment; all but ``converged`` hold a wait up."""

    CONVERGED = "converged"
    ABSENT = "absent"
    NOT_REPORTED = "not_reported"
    RUNNING = "running"
    REBOOTING = "rebooting"
    FAILED = "failed"
    FAILED_EARLIER = "failed_earlier"
    OLD_GENERATION = "old_generation"
    WRONG_STATE = "wrong_state"
    MALFORMED = "malformed_report"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Consul holds for a node: its report, or why it cannot be read; and the key's ModifyIndex."""

    report: NodeReport | MalformedDocument
    modify_index: int


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
        """How many members are present."""
        return len(self.nodes) - self.count(Standing.ABSENT)

    def waiting(self) -> list[str]:
        """By standing, how many have not converged, and who: "2 failed (web-1, web-2)"."""
        return [
            f"{len(nodes)} {standing} ({', '.join(nodes[:_NAMED])}{', …' if len(nodes) > _NAMED else ''})"
            for standing, nodes in self.by_standing.items()
            if standing is not Standing.CONVERGED
        ]

    def __str__(self) -> str:
        """How many have converged, and who has not: a line that changes only when a standing does."""
        converged = f"{self.count(Standing.CONVERGED)} of {len(self.nodes)} members converged"
        return ", ".join([converged, *self.waiting()])


def judge(
    member: Member,
    assignment: Assignment,
    evidence: Evidence | None,
    *,
    failures_after: int = 0,
    has_converged_before: bool = False,
    must_be_healthy: bool = False,
) -> tuple[Standing, str]:
    """Where one member stands, and why.

    :param failures_after: a failure in a report with a ModifyIndex up to this is history.
    :param has_converged_before: it was seen converged on this assignment; a later run that is still going, or that
        ended before it had read a generation, has taken nothing of that away.
    :param must_be_healthy: whether a converged member with failing service checks is held up by them.
    """
    standing, why = _judge(member, assignment, evidence, failures_after, has_converged_before=has_converged_before)
    if standing is Standing.CONVERGED and must_be_healthy and member.unhealthy:
        return Standing.UNHEALTHY, ", ".join(member.unhealthy)
    return standing, why


def _judge(
    member: Member,
    assignment: Assignment,
    evidence: Evidence | None,
    failures_after: int,
    *,
    has_converged_before: bool,
) -> tuple[Standing, str]:
    if not member.is_present:
        return Standing.ABSENT, "its agent is not alive"
    if evidence is None:
        return Standing.NOT_REPORTED, "has never reported"
    report = evidence.report
    if isinstance(report, MalformedDocument):
        return Standing.MALFORMED, str(report)
    if report.generation is not None and not report.is_about(assignment):
        return Standing.OLD_GENERATION, f"{report.status} on generation {report.generation}"
    if has_converged_before and (report.generation is None or report.status in {Status.RUNNING, Status.REBOOTING}):
        return Standing.CONVERGED, ""
    return _judge_run(report, assignment, is_history=evidence.modify_index <= failures_after)


def _judge_run(report: NodeReport, assignment: Assignment, *, is_history: bool) -> tuple[Standing, str]:
    reason = str(report.error) if report.error else "no reason given"
    match report.status:
        case _ if report.generation is None:
            return Standing.NOT_REPORTED, f"its last run ended before it had read a generation: {reason}"
        case Status.FAILED if is_history:
            return Standing.FAILED_EARLIER, f"failed before this try, its next run decides: {reason}"
        case Status.FAILED:
            return Standing.FAILED, reason
        case _ if report.state != assignment.state:
            return Standing.WRONG_STATE, f"reports state {report.state}, not {assignment.state}"
        case Status.RUNNING:
            return Standing.RUNNING, f"since {report.started_at}"
        case Status.REBOOTING:
            return Standing.REBOOTING, f"since {report.finished_at or report.started_at}"
        case Status.SUCCEEDED:
            return Standing.CONVERGED, ""
