"""A wait for a tier: its goal, what it has seen, and its verdict on each snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members, carry_over
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Verdict, Waiting, weigh
from airflow_provider_chefconsul.domain.verdict.look import Look
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import judge
from airflow_provider_chefconsul.domain.verdict.superseded import describe_replaced, describe_superseded
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait's goal, and what it has seen since it began; transitions return a new one.

    :param generation: the newest generation that is waited for.
    :param deadline: when the wait fails without another verdict; timezone-aware.
    :param failures_after: failures in reports with a ModifyIndex up to this are history; 0 lets all count.
    :param begun_at: Consul's index when this try began; 0 when it made the generation.
    :param others: further generations that are waited for, if the goal is all that is assigned while a canary is out.
    :param ids: by generation, the id of the assignment that first had it. A generation can be reused, an id cannot.
    :param seen_members: members seen since the wait began.
    :param seen_alive: those of them whose agents were seen alive.
    :param seen_converged: nodes seen converged since the wait began.
    :param still_converged: those of them that have not lost it since. A run in progress does not end it, so that nodes
        that run Chef on an interval cannot keep a tier from ever converging.
    :param progressed_at: when a node was last seen converged for the first time, or the wait began; timezone-aware.
    :param holding_since: since when the policy has been met without a break, timezone-aware; None while it is not.
    :param last: its last look, so that the next one judges only what has changed; None judges everything, with the
        same verdict.
    """

    generation: int
    deadline: datetime
    failures_after: int = 0
    begun_at: int = 0
    others: frozenset[int] = frozenset()
    ids: Mapping[int, str] = field(default_factory=dict)
    seen_members: frozenset[str] = frozenset()
    seen_alive: frozenset[str] = frozenset()
    seen_converged: frozenset[str] = frozenset()
    still_converged: frozenset[str] = frozenset()
    progressed_at: datetime | None = None
    holding_since: datetime | None = None
    last: Look | None = field(default=None, compare=False, repr=False)

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
            "begun_at": self.begun_at,
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
        """Read what :meth:`to_fields` returned; older versions had fewer fields."""
        return cls(
            generation=fields["generation"],
            deadline=datetime.fromisoformat(fields["deadline"]),
            failures_after=fields["failures_after"],
            begun_at=fields.get("begun_at", 0),
            others=frozenset(fields.get("others", ())),
            ids=dict(fields.get("ids", ())),
            seen_members=frozenset(fields["seen_members"]),
            seen_alive=frozenset(fields.get("seen_alive", fields["seen_members"])),
            seen_converged=frozenset(fields["seen_converged"]),
            still_converged=frozenset(fields.get("still_converged", fields["seen_converged"])),
            progressed_at=_read_moment(fields["progressed_at"]),
            holding_since=_read_moment(fields["holding_since"]),
        )

    def observe(self, snapshot: TierSnapshot, policy: ConvergencePolicy, *, now: datetime) -> tuple[Wait, Verdict]:
        """This wait after seeing the tier, and its verdict; all waits are judged here."""
        changed = self.last.find_changed(snapshot, policy) if self.last else None
        wait = self._remember(snapshot, changed, now=now)
        verdict = wait._judge(snapshot, policy, changed, now=now)
        return replace(wait, last=Look(snapshot, policy, verdict.status))._hold(verdict, policy, now=now)

    def _remember(self, snapshot: TierSnapshot, changed: Collection[str] | None, *, now: datetime) -> Wait:
        """This wait with what it now has seen.

        :param changed: the nodes of which something has changed since the last look; None for all.
        """
        members, evidence = snapshot.members, snapshot.evidence
        named = members if changed is None else [node for node in changed if node in members]
        wait = replace(
            self,
            seen_members=_joined(self.seen_members, named),
            seen_alive=_joined(self.seen_alive, [node for node in named if members[node].is_present]),
            progressed_at=self.progressed_at or now,
        )
        if not isinstance(snapshot.desired, DesiredState):
            return wait
        reported = evidence if changed is None else [node for node in changed if node in evidence]
        converged = {node for node in reported if self._has_converged(node, snapshot, snapshot.desired)}
        others = frozenset() if changed is None else self.still_converged.difference(changed)
        assigned = {
            each.generation: each.id
            for each in snapshot.desired.assignments
            if each.id is not None and each.generation in self.generations
        }
        return replace(
            wait,
            ids={**assigned, **self.ids},
            seen_converged=_joined(self.seen_converged, converged),
            still_converged=others | converged,
            progressed_at=wait.progressed_at if converged <= self.seen_converged else now,
        )

    def _judge(
        self, snapshot: TierSnapshot, policy: ConvergencePolicy, changed: Collection[str] | None, *, now: datetime
    ) -> Verdict:
        desired = snapshot.desired
        nobody = TierStatus(desired)
        match desired:
            case None:
                return Failed("the tier has no desired state: it was never written, or the key was deleted", nobody)
            case Unreadable():
                return Failed(str(desired), nobody)
        if self.generation not in desired.generations:
            return Failed(describe_superseded(desired, self.generation), nobody)
        if (other := self.find_replaced(desired)) is not None:
            return Failed(describe_replaced(desired, other), nobody)
        members = carry_over(self.seen_members, snapshot.members)
        if not members:
            return Failed("the tier has no members", nobody)
        return weigh(
            self._status(snapshot, desired, members, changed, must_be_healthy=policy.min_healthy_time > timedelta(0)),
            members,
            policy,
            is_wave=desired.canary is not None and self.generations == {desired.canary.assignment.generation},
            is_late=now >= self.deadline,
            is_stalled=self._is_stalled(policy, now=now),
        )

    def _status(
        self,
        snapshot: TierSnapshot,
        desired: DesiredState,
        members: Members,
        changed: Collection[str] | None,
        *,
        must_be_healthy: bool,
    ) -> TierStatus:
        """The status of the members that are assigned a generation of this wait."""
        known = {} if changed is None or self.last is None else self.last.status.nodes
        nodes = dict(known)
        # A node that only reports is no member; a member that is gone stays one.
        for name in members if changed is None else [name for name in changed if name in members]:
            node = judge(
                members[name],
                desired,
                snapshot.evidence.get(name),
                failures_after=self.failures_after,
                was_seen_alive=name in self.seen_alive,
                has_converged_before=name in self.still_converged,
                must_be_healthy=must_be_healthy,
            )
            if node.assigned is not None and node.assigned.generation in self.generations:
                nodes[name] = node
            else:
                nodes.pop(name, None)
        if not nodes.keys() <= known.keys():
            nodes = {name: nodes[name] for name in sorted(nodes, key=natural_order)}
        return TierStatus(desired, nodes)

    def _is_stalled(self, policy: ConvergencePolicy, *, now: datetime) -> bool:
        if policy.progress_deadline is None or self.progressed_at is None:
            return False
        return now >= self.progressed_at + policy.progress_deadline

    def find_replaced(self, desired: DesiredState) -> Assignment | None:
        """A current assignment that reuses a generation of this wait under another id; None without one."""
        for assignment in desired.assignments:
            first = self.ids.get(assignment.generation)
            if first is not None and assignment.id is not None and assignment.id != first:
                return assignment
        return None

    def _has_converged(self, node: str, snapshot: TierSnapshot, desired: DesiredState) -> bool:
        """Whether a node has converged by its report, or had converged before its run in progress."""
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

    def _hold(self, verdict: Verdict, policy: ConvergencePolicy, *, now: datetime) -> tuple[Wait, Verdict]:
        """Apply ``min_healthy_time``: a converged verdict counts only once it has held for that long."""
        if not isinstance(verdict, Converged):
            return replace(self, holding_since=None), verdict
        since = self.holding_since or now
        held = replace(self, holding_since=since)
        if max(now - since, timedelta(0)) >= policy.min_healthy_time:  # a late wait is judged as of its deadline
            return held, verdict
        if now >= self.deadline:
            met = f"the policy has been met only since {since.isoformat(timespec='seconds')}"
            reason = f"deadline passed: {met}; it must hold for min_healthy_time={policy.min_healthy_time}"
            return held, Failed(reason, verdict.status, is_timeout=True)
        return held, Waiting(verdict.status)

    def next_moment(self, policy: ConvergencePolicy, *, now: datetime) -> datetime:
        """When time alone may next change the verdict; the deadline at the latest."""
        moments = []
        if self.holding_since is not None:
            moments.append(self.holding_since + policy.min_healthy_time)
        elif self.progressed_at is not None and policy.progress_deadline is not None:
            moments.append(self.progressed_at + policy.progress_deadline)
        return min([moment for moment in moments if moment > now] + [self.deadline])


def _joined(seen: frozenset[str], nodes: Collection[str]) -> frozenset[str]:
    return seen if seen.issuperset(nodes) else seen.union(nodes)


def _read_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
