"""Judging a wait: has a tier converged, can it still, or has it failed? Pure: time and evidence are parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.count import ceiling_of, floor_of
from airflow_provider_chefconsul.rollout.desired import Assignment, DesiredState
from airflow_provider_chefconsul.rollout.membership import Members, carry_over
from airflow_provider_chefconsul.rollout.name import natural_order
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.rollout.report import NodeReport, Status
from airflow_provider_chefconsul.rollout.standing import EXCUSED, Evidence, Standing, Summary, judge

_NAMED = 8  # nodes that a reason names
_NOT_SLOW = {Standing.CONVERGED, *EXCUSED}


@dataclass(frozen=True, slots=True)
class TierSnapshot:
    """A tier as it was at one moment.

    :param desired: None when the tier has no desired state; an error when it cannot be read.
    :param evidence: by node name; nodes that are no members may be among them.
    """

    desired: DesiredState | MalformedDocument | None
    members: Members
    evidence: Mapping[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """What is being waited for, and what was seen since the wait began; transitions return a new one.

    :param generation: the newest generation that is waited for.
    :param deadline: aware; when the wait fails for want of a verdict.
    :param failures_after: failures in reports with a ModifyIndex up to this are history; 0 lets all count.
    :param others: further generations that are waited for, when that is all that is assigned while a canary is out.
    :param ids: by generation, the id of the assignment that was first seen to have it: what is waited for. A generation
        can be given twice, an id cannot.
    :param seen_members: members seen since the wait began.
    :param seen_alive: those of them whose agents were seen alive.
    :param seen_converged: nodes seen converged since then.
    :param still_converged: those of them of which nothing was seen since that takes it away. A later run leaves them
        converged while it goes on, so that nodes which run Chef on an interval cannot keep a tier from ever converging.
    :param progressed_at: aware; when the last of those was first seen so, or the wait began to look.
    :param holding_since: aware; since when the policy has been met without a break; None when it is not.
    """

    generation: int
    deadline: datetime
    failures_after: int = 0
    others: frozenset[int] = frozenset()
    ids: Mapping[int, str] = field(default_factory=dict)
    seen_members: frozenset[str] = frozenset()
    seen_alive: frozenset[str] = frozenset()
    seen_converged: frozenset[str] = frozenset()
    still_converged: frozenset[str] = frozenset()
    progressed_at: datetime | None = None
    holding_since: datetime | None = None

    @property
    def generations(self) -> frozenset[int]:
        """The generations that are waited for."""
        return self.others | {self.generation}

    def to_fields(self) -> dict[str, Any]:
        """The wait as JSON values."""
        return {
            "generation": self.generation,
            "deadline": self.deadline.isoformat(),
            "failures_after": self.failures_after,
            "others": sorted(self.others),
            "ids": sorted(self.ids.items()),
            "seen_members": sorted(self.seen_members),
            "seen_alive": sorted(self.seen_alive),
            "seen_converged": sorted(self.seen_converged),
            "still_converged": sorted(self.still_converged),
            "progressed_at": self.progressed_at and self.progressed_at.isoformat(),
            "holding_since": self.holding_since and self.holding_since.isoformat(),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Wait:
        """What :meth:`to_fields` gave; an older version's had fewer fields."""
        return cls(
            generation=fields["generation"],
            deadline=datetime.fromisoformat(fields["deadline"]),
            failures_after=fields["failures_after"],
            others=frozenset(fields.get("others", ())),
            ids=dict(fields.get("ids", ())),
            seen_members=frozenset(fields["seen_members"]),
            seen_alive=frozenset(fields.get("seen_alive", fields["seen_members"])),
            seen_converged=frozenset(fields["seen_converged"]),
            still_converged=frozenset(fields.get("still_converged", fields["seen_converged"])),
            progressed_at=_read_moment(fields["progressed_at"]),
            holding_since=_read_moment(fields["holding_since"]),
        )

    def observe(self, snapshot: TierSnapshot, *, now: datetime) -> Wait:
        """This wait, having seen the snapshot too."""
        alive = (node for node, member in snapshot.members.items() if member.is_present)
        wait = replace(
            self,
            seen_members=self.seen_members.union(snapshot.members),
            seen_alive=self.seen_alive.union(alive),
            progressed_at=self.progressed_at or now,
        )
        if not isinstance(snapshot.desired, DesiredState):
            return wait
        converged = {node for node in snapshot.evidence if self._has_converged(node, snapshot, snapshot.desired)}
        assigned = {
            each.generation: each.id
            for each in snapshot.desired.assignments
            if each.id is not None and each.generation in self.generations
        }
        return replace(
            wait,
            ids={**assigned, **self.ids},
            seen_converged=self.seen_converged | converged,
            still_converged=frozenset(converged),
            progressed_at=wait.progressed_at if converged <= self.seen_converged else now,
        )

    def find_replaced(self, desired: DesiredState) -> Assignment | None:
        """An assignment that has a generation which is waited for, and is another than the one that had it first."""
        for assignment in desired.assignments:
            first = self.ids.get(assignment.generation)
            if first is not None and assignment.id is not None and assignment.id != first:
                return assignment
        return None

    def _has_converged(self, node: str, snapshot: TierSnapshot, desired: DesiredState) -> bool:
        """Whether a node has converged, as far as its report alone says, or nothing in it takes away that it had."""
        report = snapshot.evidence[node].report
        assignment = desired.assignment_for(node)
        if not isinstance(report, NodeReport) or assignment.generation not in self.generations:
            return False
        member = snapshot.members.get(node)
        if member is not None and report.is_of_other_machine(member.node_id):
            return False
        if report.has_converged_on(assignment):
            return True
        is_running = (
            report.status is Status.RUNNING and report.is_about(assignment) and report.state == assignment.state
        )
        had_converged = report.shows_success_before or (report.is_silent_of_before and node in self.still_converged)
        return is_running and had_converged

    def hold(self, verdict: Verdict, policy: ConvergencePolicy, *, now: datetime) -> tuple[Wait, Verdict]:
        """This wait with what a verdict means for it, and the verdict once it has held for long enough."""
        if not isinstance(verdict, Converged):
            return replace(self, holding_since=None), verdict
        since = self.holding_since or now
        held = replace(self, holding_since=since)
        if now - since >= policy.min_healthy_time:
            return held, verdict
        if now >= self.deadline:
            met = f"the policy is met since {since.isoformat(timespec='seconds')} only"
            reason = f"deadline passed: {met}, and must be for min_healthy_time={policy.min_healthy_time}"
            return held, Failed(reason, verdict.summary, is_timeout=True)
        return held, Waiting(verdict.summary)

    def next_moment(self, policy: ConvergencePolicy, *, now: datetime) -> datetime:
        """When the verdict may change although nothing that is observed does: after ``now``, or the deadline."""
        moments = []
        if self.holding_since is not None:
            moments.append(self.holding_since + policy.min_healthy_time)
        elif self.progressed_at is not None and policy.progress_deadline is not None:
            moments.append(self.progressed_at + policy.progress_deadline)
        return min([moment for moment in moments if moment > now] + [self.deadline])


@dataclass(frozen=True, slots=True)
class Converged:
    """The policy is met."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Waiting:
    """The policy is not met yet, and can still be."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Failed:
    """The wait has failed; ``is_timeout`` when its deadline passed without another verdict."""

    reason: str
    summary: Summary
    is_timeout: bool = False


Verdict = Converged | Waiting | Failed


def evaluate(snapshot: TierSnapshot, wait: Wait, policy: ConvergencePolicy, *, now: datetime) -> Verdict:
    """Judge a wait by one snapshot of its tier. The wait must have observed it: see :meth:`Wait.observe`."""
    nobody = Summary(wait.generation)
    generations = wait.generations
    match snapshot.desired:
        case None:
            return Failed("the tier has no desired state: it was never written, or the key was deleted", nobody)
        case MalformedDocument() as error:
            return Failed(str(error), nobody)
        case DesiredState() as desired:
            pass
    if wait.generation not in desired.generations:
        return Failed(describe_superseded(desired, wait.generation), nobody)
    if (other := wait.find_replaced(desired)) is not None:
        return Failed(_replaced(desired, other), nobody)
    members = carry_over(wait.seen_members, snapshot.members)
    if not members:
        return Failed("the tier has no members", nobody)
    summary = Summary(
        wait.generation,
        {
            node: judge(
                member,
                assignment,
                snapshot.evidence.get(node),
                failures_after=wait.failures_after,
                was_seen_alive=node in wait.seen_alive,
                has_converged_before=node in wait.still_converged,
                must_be_healthy=policy.min_healthy_time > timedelta(0),
            )
            for node, member in members.items()
            if (assignment := desired.assignment_for(node)).generation in generations
        },
    )
    stalled = None
    if policy.progress_deadline is not None and wait.progressed_at is not None:
        stalled = now >= wait.progressed_at + policy.progress_deadline
    is_wave = desired.canary is not None and generations == {desired.canary.assignment.generation}
    covered = len(summary.nodes) if is_wave else None
    unread = [
        node
        for node, each in snapshot.evidence.items()
        if node in summary.nodes and not isinstance(each.report, NodeReport)
    ]
    is_late = now >= wait.deadline
    return _weigh(summary, members, policy, covered, unread, is_late=is_late, is_stalled=bool(stalled))


def _weigh(
    summary: Summary,
    members: Members,
    policy: ConvergencePolicy,
    covered: int | None,
    unread: Collection[str],
    *,
    is_late: bool,
    is_stalled: bool,
) -> Verdict:
    """Weigh what was found.

    :param covered: how many nodes a canary covers, None for a wait that is for no canary.
    :param unread: nodes whose reports cannot be read, each of which may say that it failed; lost ones are among them.
    """
    present, absent = summary.present, _find_excused(summary, members)
    failed, converged = summary.count(Standing.FAILED), summary.count(Standing.CONVERGED)
    all_present = len(members) - len(absent)
    may_fail = floor_of(policy.max_failed, all_present)
    if failed > may_fail:
        named = _name(summary.by_standing[Standing.FAILED])
        reason = f"{failed} of {all_present} members present failed ({named}); max_failed={policy.max_failed} is spent"
        return Failed(reason, summary)
    needed = max(ceiling_of(policy.min_converged, present), policy.min_members)
    if covered is not None:  # numbers that are meant for the whole tier cannot be had of a wave
        needed = min(needed, max(covered, 1))
    missing = []
    if converged < needed:
        missing.append(f"{converged} of {present} members present converged, {needed} are needed")
    earlier = summary.by_standing.get(Standing.FAILED_EARLIER, [])
    if (earlier or unread) and failed + len(earlier) + len(unread) > may_fail:
        doubts = []
        if earlier:
            doubts.append(f"{len(earlier)} failed before this try, with no success since ({_name(earlier)})")
        if unread:
            doubts.append(f"the reports of {len(unread)} cannot be read ({_name(unread)})")
        missing.append(f"of {all_present} members present, {', '.join(doubts)}; max_failed={policy.max_failed}")
    lost = summary.by_standing.get(Standing.LOST, [])
    if len(lost) > floor_of(policy.max_lost, all_present):
        named = f"{len(lost)} of {all_present} members present are lost ({_name(lost)})"
        missing.append(f"{named}: their agents are no longer alive; max_lost={policy.max_lost}")
    if unknown := summary.by_standing.get(Standing.UNKNOWN):
        missing.append(f"Consul does not know {_name(unknown)}")
    if policy.max_absent is not None and len(absent) > floor_of(policy.max_absent, len(members)):
        named = f"{len(absent)} of {len(members)} members are absent or have left ({_name(absent)})"
        missing.append(f"{named}; max_absent={policy.max_absent}")
    if not missing:
        return Converged(summary)
    if is_stalled and not is_late:
        slow = [node for standing, nodes in summary.by_standing.items() if standing not in _NOT_SLOW for node in nodes]
        named = f" ({_name(slow)})" if slow else ""
        within = f"within progress_deadline={policy.progress_deadline}"
        return Failed(f"no further node converged {within}{named}: {'; '.join(missing)}", summary)
    if is_late:
        return Failed(f"deadline passed: {'; '.join(missing)}", summary, is_timeout=True)
    return Waiting(summary)


def _find_excused(summary: Summary, members: Members) -> list[str]:
    """The members that are absent or have left; of those that are not judged, all whose agents are not alive."""
    return [
        node
        for node, member in members.items()
        if (summary.nodes[node][0] in EXCUSED if node in summary.nodes else not member.is_present)
    ]


def _name(nodes: Iterable[str]) -> str:
    ordered = sorted(nodes, key=natural_order)
    return ", ".join(ordered[:_NAMED]) + (", …" if len(ordered) > _NAMED else "")


def _read_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _replaced(desired: DesiredState, other: Assignment) -> str:
    return (
        f"generation {other.generation} is no longer the one waited for: the tier was deleted or restored meanwhile, "
        f"and its number given again, to state {other.state}, written by {desired.written_by} at {desired.written_at}"
    )


def describe_superseded(desired: DesiredState, generation: int) -> str:
    """What became of a generation that no node is assigned any more, and by whose doing."""
    if generation > desired.generation:
        return (
            f"generation {generation} is ahead of the desired state, which is at generation {desired.generation}: "
            f"the key was restored or rewritten by hand"
        )
    newest = desired.canary.assignment if desired.canary else desired.stable
    how = "is superseded by" if generation < newest.generation else "was taken back to"
    return (
        f"generation {generation} {how} generation {newest.generation}, state {newest.state}, "
        f"written by {desired.written_by} at {desired.written_at}"
    )
