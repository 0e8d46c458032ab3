"""What is said of a node: where it stands and why, since when, and who can act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.membership import Presence
from airflow_provider_chefconsul.domain.model.name import twins
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.moment import ago, read_moment, span
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.due import find_beginning
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

NO_EARLY_FAILURES: Mapping[str, EarlyFailure] = {}
_ACTIONS = {
    Standing.CONVERGED: "",
    Standing.ABSENT: "excused, unless max_absent says otherwise; it catches up by itself once its agent is back",
    Standing.LEFT: "excused, unless max_absent says otherwise; it catches up by itself should it come back",
    Standing.LOST: "bring its agent back and find out what happened; if this release killed it, roll back",
    Standing.UNKNOWN: "check how members are named, in the Dag and in Consul",
    Standing.NOT_REPORTED: "run chef-client on it; if it has run, check what that printed",
    Standing.WAITING: "wait; if a slot is held by a node that is gone or failed, see who: chefconsul slots ENV TIER",
    Standing.RUNNING: "wait; a run that hangs must be stopped on the node",
    Standing.REBOOTING: "wait; it continues once it is back",
    Standing.INTERRUPTED: "wait for its next run, or run chef-client on it",
    Standing.FAILED: "fix the node, then run chef-client on it, or clear the task that failed in Airflow",
    Standing.FAILED_EARLIER: "fix the node, then run chef-client on it: that run decides",
    Standing.OLD_GENERATION: "run chef-client on it; its agent's watch should have done so",
    Standing.WRONG_STATE: "check its recipe, which reports another state than the one assigned",
    Standing.MALFORMED: "find out who wrote that key; its next run replaces it",
    Standing.UNHEALTHY: "check the service on it",
}
_STOP_EARLIER_RUN = "its earlier run has not ended: wait, or stop it on the node"
_TEXTS = {
    Standing.CONVERGED: "converged on {generation}{end}",
    Standing.ABSENT: "absent, {reason}{last_run}",
    Standing.LEFT: "left, {reason}{last_run}",
    Standing.LOST: "lost, {reason}{last_run}",
    Standing.UNKNOWN: "unknown, {reason}{last_run}",
    Standing.NOT_REPORTED: "not reported: {reason}{when}",
    Standing.WAITING: "waiting for a slot{lasting}, to converge on {generation}: {reason}",
    Standing.RUNNING: "running {generation}{lasting}",
    Standing.REBOOTING: "rebooting{lasting}, on {generation}",
    Standing.INTERRUPTED: "interrupted on {generation}{when}: its run was cut off from outside; its next run decides",
    Standing.FAILED: "failed converging {generation}{failure}",
    Standing.FAILED_EARLIER: "failed converging {generation}{earlier}",
    Standing.OLD_GENERATION: "last ran {last}, and was assigned {generation}{when}",
    Standing.WRONG_STATE: "{reason}, on {generation}{when}",
    Standing.MALFORMED: "its report cannot be read: {reason}",
    Standing.UNHEALTHY: "converged on {generation}{when}, but {reason}",
}


@dataclass(frozen=True, slots=True)
class NodeExplanation:
    """Where a node stands, in words.

    :param text: one line, without the node's name.
    :param action: who can act and how; empty when there is nothing to do.
    """

    node: str
    text: str
    action: str = ""

    def __str__(self) -> str:
        """The line with the node's name."""
        return f"{self.node}: {self.text}"


def explain_nodes(
    status: TierStatus,
    names: Iterable[str] | None = None,
    *,
    now: datetime,
    early_failures: Mapping[str, EarlyFailure] = NO_EARLY_FAILURES,
) -> dict[str, NodeExplanation]:
    """Explain members of a tier, by name.

    :param names: None is all of them.
    :param early_failures: by node, runs that ended before they had read a tier.
    """
    names = list(status.nodes if names is None else names)
    explained = {
        name: explain_node(status.nodes[name], now=now, early_failure=early_failures.get(name)) for name in names
    }
    silent = [name for name in names if status.nodes[name].standing and status.nodes[name].evidence is None]
    for name, stranger in twins(silent, status.strangers).items():
        explained[name] = replace(
            explained[name],
            text=one_line(
                f"{explained[name].text}; {stranger} has, which is no member: most likely the same machine under "
                f"another name"
            ),
            action="give the machine one name: a node reports by its name in Consul",
        )
    return explained


def explain_node(node: NodeStatus, *, now: datetime, early_failure: EarlyFailure | None = None) -> NodeExplanation:
    """Explain one member of a tier.

    :param early_failure: a run of it that ended before it had read a tier; said when the node has reported nothing
        since.
    """
    name = node.member.node
    if node.assigned is None or node.standing is None:
        return NodeExplanation(name, one_line(_describe_unassigned(node, now)))
    text = _describe(node, node.standing, node.assigned, now)
    last_index = node.evidence.modify_index if node.evidence else 0
    if early_failure is not None and not node.has_converged and early_failure.modify_index > last_index:
        when = ago(read_moment(early_failure.finished_at), now)
        text += f"; its last run ended before it had read a tier{when and f', {when}'}: {early_failure.error}"
    return NodeExplanation(name, one_line(text), _find_action(node, node.standing, now))


def describe_reason(node: NodeStatus) -> str:
    """Why a node stands as it does, in a few words; empty when it has converged."""
    if node.assigned is None or node.standing is None:
        return "nothing is assigned"
    match node.standing:
        case Standing.CONVERGED:
            return ""
        case Standing.UNHEALTHY:
            return ", ".join(node.member.unhealthy)
        case Standing.WAITING:
            return str((node.report and node.report.waits_for) or "its report does not say behind whom")
        case Standing.UNKNOWN:
            return "Consul does not list it, and it has never reported"
        case Standing.ABSENT | Standing.LEFT:
            return _agent(node)
        case Standing.LOST:
            return f"{_agent(node)}; {_describe_loss(node, node.assigned)}"
        case standing:
            return _describe_report(node, standing, node.assigned)


def _agent(node: NodeStatus) -> str:
    is_listed = node.member.presence is Presence.FAILED
    return "its agent is not alive" if is_listed else "it is gone from Consul's catalog"


def _describe_loss(node: NodeStatus, assigned: Assignment) -> str:
    match node.reported:
        case Standing.WAITING | Standing.RUNNING | Standing.REBOOTING | Standing.INTERRUPTED:
            return f"it last reported {node.reported} on the generation"
        case Standing.CONVERGED:
            return "it had converged"
        case Standing.WRONG_STATE | Standing.MALFORMED:
            return _describe_report(node, node.reported, assigned)
        case _:
            return "it was alive when the wait began, or since"


def _describe_report(node: NodeStatus, standing: Standing, assigned: Assignment) -> str:
    """Why a node's report makes it stand so."""
    report = node.report
    if report is None:
        return str(node.unreadable or "has never reported")
    match standing:
        case Standing.NOT_REPORTED if report.is_of_other_machine(node.member.node_id):
            return "its report was written by an earlier machine of that name"
        case Standing.NOT_REPORTED:
            return f"its last run ended before it had read a generation: {_error(report)}"
        case Standing.OLD_GENERATION:
            is_same = report.generation == assigned.generation
            return f"{report.status} on generation {report.generation}" + (
                " of an earlier tier of that name" if is_same else ""
            )
        case Standing.FAILED_EARLIER:
            return f"failed before this try, its next run decides: {_describe_failure(report)}"
        case Standing.FAILED:
            return _describe_failure(report)
        case Standing.WRONG_STATE:
            return f"reports state {report.state}, not {assigned.state}"
        case Standing.INTERRUPTED:
            return f"since {report.finished_at or report.started_at}; its next run decides"
        case Standing.REBOOTING:
            return f"since {report.finished_at or report.started_at}"
        case _:
            return f"since {report.started_at}"


def _describe_failure(report: NodeReport) -> str:
    if report.is_unfinished:
        return f"the run before failed, and the one since {report.started_at} has not ended ({report.status})"
    return _error(report)


def _error(report: NodeReport) -> str:
    return str(report.error) if report.error else "no reason given"


def _find_action(node: NodeStatus, standing: Standing, now: datetime) -> str:
    """Who can act and how."""
    match standing, node.report.status if node.report is not None else None:
        case Standing.OLD_GENERATION, Status.RUNNING:  # another run would wait for its lock
            return _STOP_EARLIER_RUN
        case Standing.OLD_GENERATION, Status.WAITING:
            return f"{_ACTIONS[Standing.WAITING]}; when its turn comes, it reads what is desired then"
    if (begins := find_beginning(node, now=now)) is not None:
        return f"wait; it begins by itself in {span(now, begins)}, since nodes are spread over time"
    return _ACTIONS[standing]


def _describe(node: NodeStatus, standing: Standing, assigned: Assignment, now: datetime) -> str:
    """One line, without the node's name."""
    since, report, reason = node.since, node.report, describe_reason(node)
    error = _error(report) if report is not None and not report.is_unfinished else None
    when = f", {ago(since, now)}" if since else ""
    last = _describe_last(report, now)
    return _TEXTS[standing].format(
        generation=f"generation {assigned.generation}",
        reason=reason,
        when=when,
        lasting=f" for {span(since, now)}" if since else "",
        last=last,
        last_run=f"; it last ran {last}" if last else "",
        end=(", runs again" if report is not None and report.status is not Status.SUCCEEDED else when)
        + describe_mended(report, now),
        failure=f": {reason}" if error is None else f"{when}: {error}",
        earlier=f": {reason}" if error is None else f" before this try{when}; its next run decides: {error}",
    )


def describe_mended(report: NodeReport | None, now: datetime) -> str:
    """The drift that was mended on the node today, as the end of a sentence; empty for none."""
    mended = report.mended if report is not None else None
    return f"; {mended} today" if mended is not None and mended.on == f"{now:%Y-%m-%d}" else ""


def _describe_last(report: NodeReport | None, now: datetime) -> str:
    if report is None or report.generation is None:
        return ""
    when = ago(read_moment(report.finished_at or report.started_at), now)
    return f"generation {report.generation} ({report.status}{when and f' {when}'})"


def _describe_unassigned(node: NodeStatus, now: datetime) -> str:
    """A member of a tier without a desired state: what it last said."""
    text = "nothing is assigned; it has never reported"
    if node.unreadable:
        text = f"nothing is assigned; its report cannot be read: {node.unreadable}"
    elif node.report is not None:
        when = f", {ago(node.since, now)}" if node.since else ""
        what = f"on generation {node.report.generation}" if node.report.generation is not None else "before it read one"
        text = f"nothing is assigned; it reported {node.report.status} {what}{when}"
    return text if node.member.is_present else f"absent; {text}"
