"""Judging only what has changed since the last look gives what judging everything gives, whatever happens between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict import wait as wait_module
from airflow_provider_chefconsul.domain.verdict.convergence import Verdict
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing, judge
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.support.examples import examples
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_members,
    make_policy,
    make_report,
    make_unreadable,
    make_wait,
)

NODES = ("web-1", "web-2", "web-10", "web-9", "db-1")  # not in order


@dataclass(frozen=True)
class Tier:
    """What the shared data view shows, and how often a key was written."""

    desired: DesiredState | Unreadable | None
    members: Mapping[str, Member]
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    index: int = 1

    def snapshot(self) -> TierSnapshot:
        """The tier now; equal parts are other objects than in the snapshot before."""
        return TierSnapshot(self.desired, dict(self.members), dict(self.evidence))

    def with_evidence(self, node: str, report: NodeReport | Unreadable) -> Tier:
        """A node's key is written."""
        index = self.index + 1
        return replace(self, evidence={**self.evidence, node: Evidence(report, index)}, index=index)


Event = Callable[[Tier], Tier]
nodes = st.sampled_from(NODES)
assignments = st.builds(
    make_assignment,
    st.sampled_from([7, 7, 7, 8]),
    state=st.sampled_from(["converged", "converged", "off"]),
    id=st.sampled_from([None, "a1", "a1", "a2"]),
)
desired_states = st.one_of(
    st.builds(lambda stable: make_desired(stable.generation, stable=stable), assignments),
    st.builds(
        lambda stable, canary, some: make_desired(
            8, stable=stable, canary=make_canary(nodes=tuple(some), assignment=replace(canary, generation=8))
        ),
        assignments.map(lambda each: replace(each, generation=7)),
        assignments,
        st.sets(nodes, max_size=3),
    ),
)
statuses = st.sampled_from([*Status, Status.SUCCEEDED, Status.SUCCEEDED, Status.SUCCEEDED, Status.RUNNING])
reports = st.builds(
    make_report,
    nodes,
    generation=st.sampled_from([7, 7, 7, 8, 8, 6, None]),
    state=st.sampled_from(["converged", "converged", "converged", "off"]),
    status=statuses,
    id=st.sampled_from([None, None, "a1", "a1", "a2"]),
    previous_status=st.none() | st.sampled_from(Status),
    node_id=st.sampled_from([None, "m1", "m2"]),
)
members = st.builds(
    Member,
    nodes,
    st.sampled_from([*Presence, Presence.ALIVE, Presence.ALIVE, Presence.FAILED]),
    st.sampled_from([(), (), ("http is critical",)]),
    node_id=st.sampled_from([None, "m1", "m1", "m2"]),
)


def _without(tier: Tier, what: str, node: str) -> Tier:
    left = {name: each for name, each in getattr(tier, what).items() if name != node}
    return replace(tier, **{what: left})


events: st.SearchStrategy[Event] = st.one_of(
    st.builds(lambda report: lambda tier: tier.with_evidence(report.node, report), reports),
    st.builds(lambda report: lambda tier: tier.with_evidence(report.node, report), reports),
    st.builds(lambda node: lambda tier: tier.with_evidence(node, make_unreadable()), nodes),
    st.builds(lambda member: lambda tier: replace(tier, members={**tier.members, member.node: member}), members),
    st.builds(
        lambda what, node: lambda tier: _without(tier, what, node), st.sampled_from(["members", "evidence"]), nodes
    ),
    st.builds(lambda desired: lambda tier: replace(tier, desired=desired), desired_states),
    st.sampled_from([None, make_unreadable()]).map(lambda desired: lambda tier: replace(tier, desired=desired)),
)
steps = st.tuples(
    st.lists(events, max_size=4),
    st.sampled_from([0, 1, 10, 100, 400]),  # seconds
    st.sampled_from(["look", "look", "look", "look", "outage", "restart", "other policy"]),
)
policies = st.builds(
    make_policy,
    min_converged=st.sampled_from(["100%", "100%", "50%", 1, 0]),
    max_failed=st.sampled_from([0, 0, 1, "50%"]),
    max_lost=st.sampled_from([0, 0, 1]),
    max_absent=st.sampled_from([None, None, 0, 1]),
    min_members=st.sampled_from([1, 1, 2]),
    min_healthy_time=st.sampled_from([0, 0, 10, 60]).map(lambda seconds: timedelta(seconds=seconds)),
    progress_deadline=st.sampled_from([None, timedelta(seconds=90)]),
)
waits = st.builds(
    make_wait,
    st.sampled_from([7, 7, 8]),
    failures_after=st.sampled_from([0, 0, 3]),
    others=st.sampled_from([frozenset(), frozenset({7})]),
    seen_members=st.sampled_from([frozenset(), frozenset({"web-9"})]),
)


@settings(max_examples=examples(3))
@given(waits, policies, desired_states, st.lists(steps, min_size=2, max_size=12))
def test_judging_what_has_changed_gives_what_judging_everything_gives(wait, policy, desired, history):
    """The same verdict, the same order of nodes, and the same memory, at every look."""
    tier, now, whole = Tier(desired, make_members(*NODES)), NOW, wait
    for happened, seconds, kind in history:
        for event in happened:
            tier = event(tier)
        now += timedelta(seconds=seconds)
        match kind:
            case "outage":
                wait, whole = (replace(each, holding_since=None) for each in (wait, whole))
            case "restart":
                wait = Wait.from_fields(wait.to_fields())
            case "other policy":
                policy = replace_policy(policy)
        wait, verdict = wait.observe(tier.snapshot(), policy, now=now)
        whole, expected = _observe_all(whole, tier.snapshot(), policy, now)
        assert wait == whole
        assert verdict == expected
        assert list(verdict.status.nodes) == list(expected.status.nodes)
        assert list(verdict.status.by_standing.items()) == list(expected.status.by_standing.items())


def _observe_all(wait: Wait, snapshot: TierSnapshot, policy: ConvergencePolicy, now: datetime) -> tuple[Wait, Verdict]:
    return replace(wait, last=None).observe(snapshot, policy, now=now)


def replace_policy(policy: ConvergencePolicy) -> ConvergencePolicy:
    """The policy with other checks; what counts as converged then differs."""
    other = timedelta(0) if policy.min_healthy_time else timedelta(seconds=10)
    return ConvergencePolicy.from_fields({**policy.to_fields(), "min_healthy_time": other.total_seconds()})


@settings(max_examples=examples())
@given(desired_states, st.lists(st.lists(events, max_size=4), min_size=2, max_size=8))
def test_the_status_of_a_tier_is_the_same_whatever_it_was_before(desired, history):
    """As the board and the command line show it."""
    tier, status = Tier(desired, make_members(*NODES)), None
    for happened in history:
        for event in happened:
            tier = event(tier)
        status, anew = tier_status(tier.snapshot(), before=status), tier_status(tier.snapshot())
        assert status == anew
        assert list(status.nodes) == list(anew.nodes)


def test_only_what_has_changed_is_judged(monkeypatch):
    """Of a thousand members, the one that reported."""
    names = [f"web-{number}" for number in range(1000)]
    tier = Tier(make_desired(), make_members(*names))
    wait, _ = make_wait().observe(tier.snapshot(), make_policy(), now=NOW)
    judged: list[str] = []

    def judge_and_note(member: Member, *of: Any, **known: Any) -> Any:
        judged.append(member.node)
        return judge(member, *of, **known)

    monkeypatch.setattr(wait_module, "judge", judge_and_note)
    later = tier.with_evidence("web-7", make_report("web-7"))
    wait, verdict = wait.observe(later.snapshot(), make_policy(), now=NOW)
    assert judged == ["web-7"]
    assert verdict.status.count(Standing.CONVERGED) == 1
