"""What there is to say of one node's standing: how it came about, and since when. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.moment import ago, read_moment, span
from airflow_provider_chefconsul.domain.verdict.standing import Standing


def stands_since(
    standing: Standing, report: NodeReport | None, desired: DesiredState, assignment: Assignment
) -> datetime | None:
    """Since when a node stands so, by the clock of who wrote that down; None where nobody did."""
    match standing:
        case Standing.ABSENT | Standing.LEFT | Standing.LOST | Standing.UNKNOWN | Standing.MALFORMED:
            return None
        case Standing.OLD_GENERATION:  # since it was assigned another; a later write for other nodes hides when
            return read_moment(desired.written_at) if assignment.generation == desired.generation else None
        case Standing.RUNNING:
            return read_moment(report.started_at) if report else None
        case _:
            return read_moment(report.finished_at or report.started_at) if report else None


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a node stands, and what that rests on.

    :param why: as :func:`judge` gives it.
    :param since: as :func:`stands_since` gives it.
    """

    standing: Standing
    why: str
    report: NodeReport | None
    assignment: Assignment
    since: datetime | None
    now: datetime

    def describe(self) -> str:
        """One line, without the node's name."""
        generation = f"generation {self.assignment.generation}"
        when = f", {ago(self.since, self.now)}" if self.since else ""
        lasting = f" for {span(self.since, self.now)}" if self.since else ""
        match self.standing:
            case Standing.CONVERGED:
                is_running = self.report is not None and self.report.status is not Status.SUCCEEDED
                text = f"converged on {generation}{', runs again' if is_running else when}"
            case Standing.ABSENT | Standing.LEFT | Standing.LOST | Standing.UNKNOWN:
                last = f"; it last ran {self._last}" if self._last else ""
                text = f"{self.standing}, {self.why}{last}"
            case Standing.NOT_REPORTED:
                text = f"not reported: {self.why}{when}"
            case Standing.RUNNING:
                text = f"running {generation}{lasting}"
            case Standing.REBOOTING:
                text = f"rebooting{lasting}, on {generation}"
            case Standing.INTERRUPTED:
                text = f"interrupted on {generation}{when}: its run was cut off from outside; its next run decides"
            case Standing.FAILED | Standing.FAILED_EARLIER:
                text = self._describe_failure(generation, when)
            case Standing.OLD_GENERATION:
                text = f"last ran {self._last}, and was assigned {generation}{when}"
            case Standing.WRONG_STATE:
                text = f"{self.why}, on {generation}{when}"
            case Standing.MALFORMED:
                text = f"its report cannot be read: {self.why}"
            case Standing.UNHEALTHY:
                text = f"converged on {generation}{when}, but {self.why}"
        return text

    def _describe_failure(self, generation: str, when: str) -> str:
        if self.report is not None and self.report.is_unfinished:
            return f"failed converging {generation}: {self.why}"
        error = str(self.report.error) if self.report and self.report.error else "no reason given"
        if self.standing is Standing.FAILED_EARLIER:
            return f"failed converging {generation} before this try{when}; its next run decides: {error}"
        return f"failed converging {generation}{when}: {error}"

    @property
    def _last(self) -> str:
        if self.report is None or self.report.generation is None:
            return ""
        when = ago(read_moment(self.report.finished_at or self.report.started_at), self.now)
        return f"generation {self.report.generation} ({self.report.status}{when and f' {when}'})"
