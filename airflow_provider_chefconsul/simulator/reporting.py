"""What simulated nodes say in their reports, beside what every node says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from airflow_provider_chefconsul import __version__
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, previous_status

CLIENT = f"simulated {__version__}"


def told_to_fail(by: str) -> RunError:
    """The error of a run that was told to fail."""
    return RunError("SimulatedFailure", f"the run was told to fail ({by})", "simulated[failure]")


def begin_report(
    report: NodeReport, assignment: Assignment, *, before: NodeReport | None, node_id: str | None
) -> NodeReport:
    """The first report of a run on an assignment.

    :param report: of a run that has read no assignment yet.
    :param before: the node's report that stands; that of an earlier machine of its name says nothing of this one.
    :param node_id: Consul's id of this machine.
    """
    is_own = before is not None and not before.is_of_other_machine(node_id)
    return replace(
        report,
        generation=assignment.generation,
        state=assignment.state,
        id=assignment.id,
        node_id=node_id,
        previous_status=previous_status(before, assignment) if is_own else None,
    )


def has_converged(before: NodeReport | None, assignment: Assignment, node_id: str | None) -> bool:
    """Whether this very machine has reported that it is where the assignment wants it."""
    return before is not None and before.has_converged_on(assignment) and not before.is_of_other_machine(node_id)


def now() -> str:
    """The time as reports state it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
