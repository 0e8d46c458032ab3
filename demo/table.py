"""The live table: each node, what it is assigned, what it reports, and whether its agent is alive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rich.table import Table

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.convergence import TierSnapshot
from airflow_provider_chefconsul.rollout.desired import Assignment, DesiredState
from airflow_provider_chefconsul.rollout.membership import Member
from airflow_provider_chefconsul.rollout.report import NodeReport
from airflow_provider_chefconsul.rollout.standing import Evidence, Standing, judge

_COLOURS = {
    Standing.CONVERGED: "green",
    Standing.RUNNING: "yellow",
    Standing.FAILED: "bold red",
    Standing.ABSENT: "dim",
}


def converged_nodes(snapshots: Iterable[TierSnapshot]) -> set[str]:
    """The nodes that are present and have reported their assignment as succeeded."""
    return {
        node
        for snapshot in snapshots
        if isinstance(snapshot.desired, DesiredState)
        for node, member in snapshot.members.items()
        if judge(member, snapshot.desired.assignment_for(node), snapshot.evidence.get(node))[0] is Standing.CONVERGED
    }


def render(snapshots: Mapping[str, TierSnapshot], *, title: str) -> Table:
    """The table, by tier and node."""
    table = Table(title=title, title_justify="left", expand=False)
    for heading in ("node", "agent", "assigned", "reported", "status", "age"):
        table.add_column(heading, justify="right" if heading == "age" else "left", no_wrap=heading != "status")
    for snapshot in snapshots.values():
        for node, member in snapshot.members.items():
            table.add_row(*_row(member, snapshot.desired, snapshot.evidence.get(node)))
        table.add_section()
    return table


def _row(
    member: Member, desired: DesiredState | MalformedDocument | None, evidence: Evidence | None
) -> tuple[str, str, str, str, str, str]:
    agent = "[green]up[/]" if member.is_present else "[red]down[/]"
    report = evidence.report if evidence and isinstance(evidence.report, NodeReport) else None
    reported = _assignment(report.generation, report.state) if report else "-"
    age = _age(report.finished_at or report.started_at) if report else ""
    if not isinstance(desired, DesiredState):
        return member.node, agent, "-", reported, "", age
    assignment: Assignment = desired.assignment_for(member.node)
    standing, why = judge(member, assignment, evidence)
    colour = _COLOURS.get(standing, "default")
    status = f"[{colour}]{standing}[/]" + (f" {why}" if standing is Standing.FAILED else "")
    return member.node, agent, _assignment(assignment.generation, assignment.state), reported, status, age


def _assignment(generation: int | None, state: str | None) -> str:
    return f"{generation} {state}"


def _age(moment: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"{max(0, seconds):.0f} s"
