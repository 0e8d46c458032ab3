"""What a simulated run reports, and whether it is needed; serves the stand-in for chef-client and fleets alike."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

from airflow_provider_chefconsul import __version__
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status, previous_status


def new(node: str, tier: str) -> NodeReport:
    """The report of a run that begins now and has read no assignment yet."""
    return NodeReport(
        node=node,
        tier=tier,
        generation=None,
        state=None,
        status=Status.RUNNING,
        run_id=os.urandom(16).hex(),
        started_at=_now(),
        client=f"simulated {__version__}",
    )


def begin(report: NodeReport, assignment: Assignment, *, before: NodeReport | None, node_id: str | None) -> NodeReport:
    """The first report of a run on an assignment.

    :param report: the run's, from :func:`new`.
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


def end(report: NodeReport, status: Status, *, error: RunError | None = None, updated: int = 0) -> NodeReport:
    """The last report of a run.

    :param updated: how many resources it changed.
    """
    return replace(report, status=status, finished_at=_now(), error=error, updated_resources=updated)


def has_converged(before: NodeReport | None, assignment: Assignment, node_id: str | None) -> bool:
    """Whether this very machine has reported that it converged on the assignment."""
    return before is not None and before.has_converged_on(assignment) and not before.is_of_other_machine(node_id)


def error_of(error: Exception) -> RunError:
    """The error of a run that could not begin; reported, so that the orchestrator learns why there was none."""
    return RunError(type(error).__name__, str(error))


def simulated_failure(cause: str) -> RunError:
    """The error of a run that was asked to fail, by an option or a fault."""
    return RunError("SimulatedFailure", f"the run was told to fail ({cause})", "simulated[failure]")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
