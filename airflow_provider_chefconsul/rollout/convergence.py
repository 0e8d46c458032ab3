"""Judging a wait: has a tier converged, can it still, or has it failed? Pure: time and evidence are parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument
from airflow_provider_chefconsul.rollout.count import Count, ceiling_of, check_count, floor_of
from airflow_provider_chefconsul.rollout.desired import DesiredState
from airflow_provider_chefconsul.rollout.membership import Members, carry_over
from airflow_provider_chefconsul.rollout.report import NodeReport
from airflow_provider_chefconsul.rollout.standing import Evidence, Standing, Summary, judge


@dataclass(frozen=True, slots=True)
class ConvergencePolicy:
    """When a wait is over. Counts are numbers of nodes or "N%".

    :param min_converged: how many of the members present must have converged; a percentage is rounded up.
    :param max_failed: how many of the members present may have failed before the wait fails at once; a percentage is
        rounded down.
    :param max_absent: how many of all members may be absent when the tier converges; None is any number.
    :param min_members: how many members must really have converged, so that a tier of absent nodes never passes.
    :param timeout: how long one try may take.
    """

    min_converged: Count = "100%"
    max_failed: Count = 0
    max_absent: Count | None = None
    min_members: int = 1
    timeout: timedelta = timedelta(minutes=30)

    def __post_init__(self) -> None:
        """Refuse what can never be meant.

        :raises InvalidInput: names the parameter.
        """
        check_count("min_converged", self.min_converged)
        check_count("max_failed", self.max_failed)
        if self.max_absent is not None:
            check_count("max_absent", self.max_absent)
        if type(self.min_members) is not int or self.min_members < 1:
            raise InvalidInput(f"min_members must be a number of at least 1, not {self.min_members!r}")
        if not isinstance(self.timeout, timedelta) or self.timeout <= timedelta(0):
            raise InvalidInput(f"timeout must be a timedelta above zero, not {self.timeout!r}")

    def to_fields(self) -> dict[str, Any]:
        """The policy as JSON scalars; durations in seconds."""
        return {**asdict(self), "timeout": self.timeout.total_seconds()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> ConvergencePolicy:
        """What :meth:`to_fields` gave."""
        return cls(**{**fields, "timeout": timedelta(seconds=fields["timeout"])})


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

    :param deadline: aware; when the wait fails for want of a verdict.
    :param failures_after: failures in reports with a ModifyIndex up to this are history; 0 lets all count.
    :param seen_members: members seen since the wait began.
    :param seen_converged: members seen converged since then; a later run of the same generation leaves them converged
        unless it fails, so that nodes which run Chef on an interval cannot keep a tier from ever converging.
    """

    generation: int
    deadline: datetime
    failures_after: int = 0
    seen_members: frozenset[str] = frozenset()
    seen_converged: frozenset[str] = frozenset()

    def to_fields(self) -> dict[str, Any]:
        """The wait as JSON values."""
        return {
            "generation": self.generation,
            "deadline": self.deadline.isoformat(),
            "failures_after": self.failures_after,
            "seen_members": sorted(self.seen_members),
            "seen_converged": sorted(self.seen_converged),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Wait:
        """What :meth:`to_fields` gave."""
        return cls(
            generation=fields["generation"],
            deadline=datetime.fromisoformat(fields["deadline"]),
            failures_after=fields["failures_after"],
            seen_members=frozenset(fields["seen_members"]),
            seen_converged=frozenset(fields["seen_converged"]),
        )

    def observe(self, snapshot: TierSnapshot) -> Wait:
        """This wait, having seen the snapshot too."""
        if not isinstance(snapshot.desired, DesiredState):
            return replace(self, seen_members=self.seen_members.union(snapshot.members))
        converged = {
            node
            for node, evidence in snapshot.evidence.items()
            if isinstance(evidence.report, NodeReport)
            and evidence.report.has_converged_on(assignment := snapshot.desired.assignment_for(node))
            and assignment.generation == self.generation
        }
        return replace(
            self,
            seen_members=self.seen_members.union(snapshot.members),
            seen_converged=self.seen_converged | converged,
        )


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
    match snapshot.desired:
        case None:
            return Failed("the tier has no desired state: it was never written, or the key was deleted", nobody)
        case MalformedDocument() as error:
            return Failed(str(error), nobody)
        case DesiredState() as desired:
            pass
    if wait.generation not in desired.generations:
        return Failed(_superseded(desired, wait.generation), nobody)
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
                has_converged_before=node in wait.seen_converged,
            )
            for node, member in members.items()
            if (assignment := desired.assignment_for(node)).generation == wait.generation
        },
    )
    return _weigh(summary, policy, is_late=now >= wait.deadline)


def _weigh(summary: Summary, policy: ConvergencePolicy, *, is_late: bool) -> Verdict:
    present, absent = summary.present, summary.count(Standing.ABSENT)
    failed, converged = summary.count(Standing.FAILED), summary.count(Standing.CONVERGED)
    may_fail = floor_of(policy.max_failed, present)
    if failed > may_fail:
        return Failed(f"{failed} of {present} members present failed; max_failed={policy.max_failed}", summary)
    needed = max(ceiling_of(policy.min_converged, present), policy.min_members)
    missing = []
    if converged < needed:
        missing.append(f"{converged} of {present} members present converged, {needed} are needed")
    if policy.max_absent is not None and absent > floor_of(policy.max_absent, len(summary.nodes)):
        missing.append(f"{absent} of {len(summary.nodes)} members are absent; max_absent={policy.max_absent}")
    if not missing:
        return Converged(summary)
    if is_late:
        return Failed(f"deadline passed: {'; '.join(missing)}", summary, is_timeout=True)
    return Waiting(summary)


def _superseded(desired: DesiredState, generation: int) -> str:
    if generation > desired.generation:
        return (
            f"generation {generation} is ahead of the desired state, which is at generation {desired.generation}: "
            f"the key was restored or rewritten by hand"
        )
    return (
        f"generation {generation} is superseded by generation {desired.generation}, state {desired.stable.state}, "
        f"written by {desired.written_by} at {desired.written_at}"
    )
