"""The JSON that the page draws, from a tier's state. Pure: what a viewer may see and the time are parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.domain.explanation.node import explain_node
from airflow_provider_chefconsul.domain.explanation.tier import explain_tier
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.text import many_lines, one_line
from airflow_provider_chefconsul.domain.verdict.progress import thin_out
from airflow_provider_chefconsul.domain.verdict.slow import find_slow
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.ui.pace import describe_pace
from airflow_provider_chefconsul.ui.tier_state import TierState, is_canary

MayRead = Callable[[str], bool]
"""Whether the viewer may read a Dag, by its id."""

_CURVE_POINTS = 120
_HISTORY = 20  # generations of the timeline
_VALUES = 20  # of an assignment
_VALUE_LENGTH = 120  # characters
_EXPLAINED = 4  # nodes that hold a tier up, explained beside its heat map
# The nodes to look at first.
_WORST_FIRST = (
    Standing.FAILED,
    Standing.MALFORMED,
    Standing.WRONG_STATE,
    Standing.LOST,
    Standing.ABSENT,
)


def describe_tier(state: TierState, may_read: MayRead, *, now: datetime) -> dict[str, Any]:
    """A tier without its cells."""
    status, desired = state.status, state.status.desired
    obstacles: tuple[str, ...] = ()
    if not isinstance(desired, DesiredState) or not status.nodes:  # otherwise the cells show what holds it up
        shown = replace(status, desired=desired.without_value()) if isinstance(desired, Unreadable) else status
        obstacles = explain_tier(state.environment, state.tier, shown, now=now).obstacles
    return {
        "tier": state.tier,
        "now": _moment(now),
        "members": len(status.nodes),
        "counts": {standing: len(nodes) for standing, nodes in status.by_standing.items()},
        "desired": _describe_desired(desired, may_read) if isinstance(desired, DesiredState) else None,
        "obstacles": [one_line(each) for each in obstacles],
        "explained": explain(state, now=now),
        "pace": describe_pace(state, now=now),
        "strangers": list(status.strangers[:_EXPLAINED]),
        "strangers_count": len(status.strangers),
        "curve": [[_moment(moment), count] for moment, count in thin_out(state.converged_at, _CURVE_POINTS)],
        "declared_at": _declared_at(state),
        "history": _describe_history(state.history, may_read),
    }


def explain(state: TierState, *, now: datetime) -> list[dict[str, Any]]:
    """The nodes to look at first, each in one line: those that are amiss, then those that take longer than the others.

    A healthy rollout has none.
    """
    status = state.status
    worst = [name for standing in _WORST_FIRST for name in status.by_standing.get(standing, ())]
    nodes = [status.nodes[name] for name in [*worst, *find_slow(status, now=now)][:_EXPLAINED]]
    return [
        {"node": node.member.node, "standing": node.standing, "text": explain_node(node, now=now).text}
        for node in nodes
    ]


def describe_cells(cells: Mapping[str, list[object]]) -> list[list[object]]:
    """The cells, each preceded by its node's name."""
    return [[node, *cell] for node, cell in cells.items()]


def describe_lease(lease: Lease | Unreadable | None, may_read: MayRead) -> dict[str, Any] | None:
    """The lease; it names the Dag run only to viewers who may read its Dag."""
    match lease:
        case None:
            return None
        case Unreadable():  # it may name a Dag that the viewer may not read
            problem = f"the environment's lease cannot be read, so nobody may write: {lease.without_value()}"
            return {"problem": one_line(problem)}
        case Lease():
            is_shown = may_read(lease.holder.dag_id)
            return {
                "dag_id": one_line(lease.holder.dag_id) if is_shown else None,
                "run_id": one_line(lease.holder.run_id) if is_shown else None,
                "reason": one_line(lease.reason) if is_shown else "",
                "acquired_at": one_line(lease.acquired_at),
                "expires_at": one_line(lease.expires_at),
            }


def describe_node(
    state: TierState, name: str, may_read: MayRead, *, now: datetime, early_failure: EarlyFailure | None = None
) -> dict[str, Any] | None:
    """A member's explanation, assignment, the task that made it, and last report; None if it is not a member.

    :param early_failure: its last run that failed before it read a tier.
    """
    node, desired = state.status.nodes.get(name), state.status.desired
    if node is None:
        return None
    explanation = explain_node(node, now=now, early_failure=early_failure)
    return {
        "node": name,
        "tier": state.tier,
        "now": _moment(now),
        "standing": node.standing,
        "text": explanation.text,
        "since": _moment(node.since) if node.since else None,
        "action": explanation.action,
        "is_present": node.member.is_present,
        "unhealthy": [one_line(check) for check in node.member.unhealthy],
        "is_canary": is_canary(node, state.status),
        "is_canary_out": isinstance(desired, DesiredState) and desired.canary is not None,
        "assigned": _describe_assignment(node.assigned) if node.assigned else None,
        "assigned_by": _describe_assigner(state, node, may_read),
        "report": _describe_report(node),
    }


def dag_ids_of(state: TierState | None, lease: Lease | Unreadable | None) -> set[str]:
    """The Dags whose names the viewer would see."""
    desired = [*state.history.values(), state.status.desired] if state else []
    found = {each.written_by.dag_id for each in desired if isinstance(each, DesiredState)}
    return found | ({lease.holder.dag_id} if isinstance(lease, Lease) else set())


def _describe_desired(desired: DesiredState, may_read: MayRead) -> dict[str, Any]:
    return {
        "generation": desired.generation,
        "stable": _describe_assignment(desired.stable),
        "canary": _describe_assignment(desired.canary.assignment) if desired.canary else None,
        "written_at": one_line(desired.written_at),
        "written_by": describe_writer(desired.written_by, may_read),
    }


def _describe_assignment(assignment: Assignment) -> dict[str, Any]:
    values = list(assignment.values.items())
    return {
        "generation": assignment.generation,
        "state": assignment.state,
        "values": [[_short(name), _short(_shown(value))] for name, value in values[:_VALUES]],
        "values_left_out": max(0, len(values) - _VALUES),
    }


def describe_writer(writer: Writer, may_read: MayRead) -> dict[str, Any] | None:
    """The writer; None when the viewer may not read its Dag."""
    if not may_read(writer.dag_id):
        return None
    fields = {name: one_line(each) if isinstance(each, str) else each for name, each in asdict(writer).items()}
    return fields | {"person": one_line(str(writer)) if writer.is_person else None}


def _describe_assigner(state: TierState, node: NodeStatus, may_read: MayRead) -> dict[str, Any] | None:
    """The task that gave a node its assignment, which also nudged it and waits for it; whoever wrote last comes first.

    A wave that widens a canary keeps its generation, so the history only has the wave that began it.
    """
    desired = state.status.desired
    if node.assigned is None or not isinstance(desired, DesiredState):
        return None
    is_newest = desired.newest.is_same_as(node.assigned)
    declared = desired if is_newest else state.history.get(node.assigned.generation, desired)
    return describe_writer(declared.written_by, may_read)


def _describe_history(history: Mapping[int, DesiredState], may_read: MayRead) -> list[dict[str, Any]]:
    """The newest generations, newest first."""
    newest = sorted(history.items(), reverse=True)[:_HISTORY]
    described = []
    for generation, desired in newest:
        described.append(
            {
                **_describe_assignment(desired.assignment_at(generation)),
                "generation": generation,
                "is_canary": desired.is_of_canary(generation),
                "written_at": one_line(desired.written_at),
                "written_by": describe_writer(desired.written_by, may_read),
            }
        )
    return described


def _describe_report(node: NodeStatus) -> dict[str, Any] | None:
    report = node.report
    if report is None:
        return {"problem": one_line(str(node.unreadable))} if node.unreadable else None
    return {
        "status": report.status,
        "generation": report.generation,
        "state": report.state,
        "run_id": one_line(report.run_id),
        "started_at": one_line(report.started_at),
        "finished_at": one_line(report.finished_at) if report.finished_at else None,
        "updated_resources": report.updated_resources,
        "source": one_line(report.source),
        "client": one_line(report.client),
        "error": report.error
        and {
            "class": one_line(report.error.kind),
            "message": many_lines(report.error.message),
            "resource": one_line(report.error.resource),
        },
    }


def _declared_at(state: TierState) -> str | None:
    """When the newest assigned generation was first written, where the curve begins."""
    desired = state.status.desired
    if not isinstance(desired, DesiredState):
        return None
    first = state.history.get(max(desired.generations), desired)
    return one_line(first.written_at)


def _shown(value: Scalar) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _short(text: str) -> str:
    line = one_line(text[: 2 * _VALUE_LENGTH])
    return line if len(line) <= _VALUE_LENGTH else f"{line[:_VALUE_LENGTH]}…"


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
