"""Saying in words where a tier and its nodes stand: since when, what holds them up, and who can act. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.finding import Finding, stands_since
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.membership import Member, in_order
from airflow_provider_chefconsul.domain.model.name import natural_order, twins
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.moment import ago, read_moment
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.standing import Standing, Summary, judge
from airflow_provider_chefconsul.exceptions import MalformedDocument

NOBODY_DIED: Mapping[str, EarlyFailure] = {}
_ACTIONS = {
    Standing.CONVERGED: "",
    Standing.ABSENT: "excused, unless max_absent says otherwise; it catches up by itself when its agent is back",
    Standing.LEFT: "excused, unless max_absent says otherwise; should it come back, it catches up by itself",
    Standing.LOST: "bring its agent back and see what became of it; should this release have killed it, roll back",
    Standing.UNKNOWN: "look at how members are named, in the Dag and in Consul",
    Standing.NOT_REPORTED: "run chef-client on it; where it has run, see what that printed",
    Standing.RUNNING: "wait; a run that hangs is stopped on the node",
    Standing.REBOOTING: "wait; it goes on when it is back",
    Standing.INTERRUPTED: "wait; its next run decides, or run chef-client on it",
    Standing.FAILED: "mend it, then run chef-client on it, or clear the Dag's nudge, if any, and what follows",
    Standing.FAILED_EARLIER: "run chef-client on it when it is mended: that run decides",
    Standing.OLD_GENERATION: "run chef-client on it; its agent's watch should have",
    Standing.WRONG_STATE: "look at its recipe, which reports another state than it was assigned",
    Standing.MALFORMED: "find out who wrote that key; its next run replaces it",
    Standing.UNHEALTHY: "look at the service on it",
}


@dataclass(frozen=True, slots=True)
class NodeExplanation:
    """Where a node stands, in words.

    :param standing: None when the tier has no desired state that can be read, so that nothing is assigned.
    :param text: one line, without the node's name.
    :param since: aware, by the clock of who wrote it down; None where nobody did.
    :param action: who can act and how; empty when there is nothing to do.
    """

    node: str
    standing: Standing | None
    text: str
    since: datetime | None = None
    action: str = ""

    def __str__(self) -> str:
        """The line with the node's name."""
        return f"{self.node}: {self.text}"


@dataclass(frozen=True, slots=True)
class TierExplanation:
    """Where a tier stands, in words.

    :param headline: what is desired, and how many members are there.
    :param written: who wrote the desired state, and when; empty when there is none.
    :param obstacles: what holds the tier up as a whole, with what to do about it.
    :param nodes: by name, each member.
    """

    headline: str
    written: str = ""
    obstacles: tuple[str, ...] = ()
    nodes: Mapping[str, NodeExplanation] = field(default_factory=dict)


def explain_node(
    member: Member,
    desired: DesiredState,
    evidence: Evidence | None,
    *,
    now: datetime,
    found: tuple[Standing, str] | None = None,
    died: EarlyFailure | None = None,
) -> NodeExplanation:
    """Explain one member of a tier.

    :param found: what a wait has found of it; None judges it by itself.
    :param died: a run of it that read no tier; told when the node has said nothing since.
    """
    assignment = desired.assignment_for(member.node)
    standing, why = found or judge(member, assignment, evidence)
    report = evidence.report if evidence is not None and isinstance(evidence.report, NodeReport) else None
    since = stands_since(standing, report, desired, assignment)
    text = Finding(standing, why, report, assignment, since, now).describe()
    if died is not None and standing is not Standing.CONVERGED and died.modify_index > _last_index(evidence):
        when = ago(read_moment(died.finished_at), now)
        text += f"; its last run died before it read a tier{when and f', {when}'}: {died.error}"
    return NodeExplanation(member.node, standing, one_line(text), since, _ACTIONS[standing])


def explain_tier(
    environment: str,
    tier: str,
    snapshot: TierSnapshot,
    *,
    now: datetime,
    lease: Lease | MalformedDocument | None = None,
    died: Mapping[str, EarlyFailure] = NOBODY_DIED,
) -> TierExplanation:
    """Explain a tier and each of its members.

    :param lease: what stands under the environment's lease key.
    :param died: by node, runs that read no tier.
    """
    where = f"{environment}/{tier}"
    held = _explain_lease(lease, now)
    match snapshot.desired:
        case None:
            missing = "nobody has declared it, or its key was deleted: SetDesiredStateOperator declares it"
            return TierExplanation(f"{where}: no desired state", "", (missing, *held), _unassigned(snapshot, now))
        case MalformedDocument() as error:
            spoilt = f"{error}; put back the newest document of the tier's history"
            headline = f"{where}: its desired state cannot be read"
            return TierExplanation(headline, "", (spoilt, *held), _unassigned(snapshot, now))
        case DesiredState() as desired:
            pass
    nodes = {
        name: explain_node(member, desired, snapshot.evidence.get(name), now=now, died=died.get(name))
        for name, member in in_order(snapshot.members)
    }
    nodes |= _explain_twins(nodes, snapshot)
    standings = {name: (node.standing, "") for name, node in nodes.items() if node.standing is not None}
    summary = Summary(desired.generation, standings)
    written = f"written by {desired.written_by}, {ago(read_moment(desired.written_at), now) or desired.written_at}"
    obstacles = [*_explain_canary(desired, snapshot), *held]
    if not nodes:
        strangers = sorted(snapshot.evidence, key=natural_order)
        others = f" and {len(strangers) - 1} more report" if len(strangers) > 1 else " reports"
        yet = f"; yet {strangers[0]}{others} in it: look at how members are named" if strangers else ""
        obstacles.insert(0, f"it has no members: Consul lists no node for it, so nobody can converge{yet}")
    else:
        if excused := summary.excused():
            obstacles.insert(0, f"excused, since they were not there: {', '.join(excused)}")
        if waiting := summary.waiting():
            obstacles.insert(0, f"held up by {', '.join(waiting)}")
    converged = f"{summary.count(Standing.CONVERGED)} of {len(nodes)} members converged"
    return TierExplanation(f"{where}: {converged}, {describe_assignment(desired)}", written, tuple(obstacles), nodes)


def describe_assignment(desired: DesiredState) -> str:
    """What is desired, in one line."""
    if desired.canary is None:
        return f"assigned {desired.stable.describe()}"
    return f"canary assigned {desired.canary.assignment.describe()}, the others {desired.stable.describe()}"


def _explain_twins(nodes: Mapping[str, NodeExplanation], snapshot: TierSnapshot) -> dict[str, NodeExplanation]:
    """The members that have never reported while a node of nearly their name, which is no member, has."""
    silent = [name for name in nodes if name not in snapshot.evidence]
    strangers = [node for node in snapshot.evidence if node not in snapshot.members]
    explained = {}
    for name, stranger in twins(silent, strangers).items():
        text = (
            f"{nodes[name].text}; {stranger} has, which is no member: most likely the same machine under another name"
        )
        action = "give it one name: a node reports by its name in Consul"
        explained[name] = replace(nodes[name], text=one_line(text), action=action)
    return explained


def _last_index(evidence: Evidence | None) -> int:
    return evidence.modify_index if evidence else 0


def _unassigned(snapshot: TierSnapshot, now: datetime) -> dict[str, NodeExplanation]:
    """The members of a tier without a desired state: what they last said."""
    explained = {}
    for name, member in in_order(snapshot.members):
        evidence = snapshot.evidence.get(name)
        report = evidence.report if evidence else None
        text = "nothing is assigned; it has never reported"
        since = None
        if isinstance(report, MalformedDocument):
            text = f"nothing is assigned; its report cannot be read: {report}"
        elif report is not None:
            since = read_moment(report.finished_at or report.started_at)
            when = f", {ago(since, now)}" if since else ""
            text = f"nothing is assigned; it reported {report.status} on generation {report.generation}{when}"
        explained[name] = NodeExplanation(name, None, text if member.is_present else f"absent; {text}", since)
    return explained


def _explain_canary(desired: DesiredState, snapshot: TierSnapshot) -> list[str]:
    canary = desired.canary
    if canary is None:
        return []
    covered = sum(canary.has_node(node) for node in snapshot.members)
    share = f"{covered} of {len(snapshot.members)} members"
    return [f"a canary is out on {share}; declare it for all to promote it, or roll back to take it back"]


def _explain_lease(lease: Lease | MalformedDocument | None, now: datetime) -> list[str]:
    match lease:
        case None:
            return []
        case MalformedDocument() as error:
            return [f"the environment's lease cannot be read, so nobody may write: {error}"]
        case Lease() as standing:
            when = ago(read_moment(standing.acquired_at), now) or standing.acquired_at
            why = f" ({standing.reason})" if standing.reason else ""
            return [f"lease held by {standing.holder}, acquired {when}{why}: only that Dag run may write"]
