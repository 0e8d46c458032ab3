"""Judging a wait: properties of any tier. The tiers drawn here are mostly healthy, so that many converge."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Canary, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Verdict, Waiting
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import MalformedDocument, UnknownSchema
from tests.support.examples import examples
from tests.support.factory import make_assignment, make_desired, make_report, make_wait, seen, verdict_of

NODES = [f"web-{number}" for number in range(6)]
OLD_INDEX, NEW_INDEX = 20, 21  # what was reported before, and what is reported in a test


@dataclass(frozen=True)
class Situation:
    """A wait that has seen an earlier snapshot of its tier, the present snapshot, and the policy."""

    earlier: TierSnapshot
    present: TierSnapshot
    wait: Wait
    policy: ConvergencePolicy

    def judge(self, **overrides: Any) -> Verdict:
        """The verdict on the present snapshot."""
        return verdict_of(self.present, self.wait, self.policy, **overrides)

    def after(self, node: str, report: NodeReport | Unreadable) -> Situation:
        """This situation once a node has reported."""
        evidence = {**self.present.evidence, node: Evidence(report, NEW_INDEX)}
        present = replace(self.present, evidence=evidence)
        return replace(self, earlier=self.present, present=present, wait=seen(self.wait, present))


# Strategies -----------------------------------------------------------------------------------------------------------


def mostly(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual value, three times in four."""
    return st.integers(0, 3).flatmap(lambda number: rare if number == 3 else usual)


counts = st.one_of(st.integers(0, 6), st.integers(0, 100).map(lambda percent: f"{percent}%"))
policies = st.builds(
    ConvergencePolicy,
    min_converged=mostly(st.sampled_from([0, 3, "0%", "60%", "80%", "100%"]), counts),
    max_failed=mostly(st.sampled_from([0, 1, "50%"]), counts),
    max_absent=mostly(st.none(), counts),
    min_members=mostly(st.just(1), st.integers(1, 6)),
)
canaries = st.builds(
    Canary,
    assignment=st.just(make_assignment(8, state="off")),
    salt=st.text("abc", min_size=1),
    threshold=st.integers(0, BUCKETS),
    nodes=st.lists(st.sampled_from(NODES), unique=True).map(tuple),
)


def with_canary(canary: Canary | None) -> DesiredState:
    """Generation 7, and 8 for the nodes of the canary."""
    return make_desired(8 if canary else 7, stable=make_assignment(7), canary=canary)


ERRORS = st.none() | st.just(RunError("Errno::ENOSPC", "No space left on device"))


@cache  # a strategy costs more to make than to draw from
def reports_on(generation: int, state: str, *statuses: Status) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed reports of a run that compiled this assignment; of any status, unless some are named."""
    return st.fixed_dictionaries(
        {
            "generation": st.just(generation),
            "state": st.just(state),
            "status": st.sampled_from(statuses or tuple(Status)),
            "error": ERRORS,
        }
    )


@cache
def any_report(generation: int, state: str) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed reports, half of them on this assignment."""
    other = {
        "generation": st.none() | st.integers(6, 9),
        "state": st.none() | st.sampled_from(["converged", "off"]),
        "status": st.sampled_from(Status),
        "error": ERRORS,
    }
    return reports_on(generation, state) | st.fixed_dictionaries(other)


slips = st.sampled_from(
    [{"generation": number, "state": state} for number in (6, 7, 8) for state in ("converged", "off")]
)  # successes, but mostly of something else


def read(text: str | bytes) -> Unreadable:
    """Why a report cannot be read, as the shared data view passes it on."""
    with pytest.raises(MalformedDocument) as caught:
        NodeReport.from_json("chefconsul/demo/web/nodes/web-0", text)
    return Unreadable.of(caught.value)


def without(field: str) -> str:
    """A report that lacks a field."""
    fields = json.loads(make_report().to_json())
    del fields[field]
    return json.dumps(fields)


garbage = st.one_of(
    st.sampled_from(["", "null", "[]", "{}", make_report().to_json()[:-1]]),
    st.sampled_from(["schema", "node", "status"]).map(without),
    st.integers(2).map(lambda schema: json.dumps(json.loads(make_report().to_json()) | {"schema": schema})),
    st.text().filter(lambda status: status not in set(Status)).map(
        lambda status: json.dumps(json.loads(make_report().to_json()) | {"status": status})
    ),
    st.binary(max_size=8).filter(lambda text: not text.strip().startswith(b"{")),
).map(read)  # fmt: skip


presences = st.sampled_from(["present"] * 16 + ["absent", "elsewhere"])
kinds = st.sampled_from(["converged"] * 36 + ["running"] * 12 + ["ended"] * 4 + ["slip"] * 2 + ["garbage", "silent"])


@cache
@st.composite
def evidences(draw: st.DrawFn, node: str, generation: int, state: str) -> Evidence | None:
    """Reports of a node: mostly that it has converged on its assignment."""
    match draw(kinds):
        case "silent":
            return None
        case "garbage":
            report: Any = draw(garbage)
        case "running":
            report = make_report(node, **draw(reports_on(generation, state, Status.RUNNING, Status.REBOOTING)))
        case "ended":
            report = make_report(node, **draw(any_report(generation, state)))
        case "slip":
            report = make_report(node, **draw(slips))
        case _:
            report = make_report(node, generation=generation, state=state)
    return Evidence(report, draw(st.integers(1, OLD_INDEX)))


@st.composite
def snapshots(draw: st.DrawFn, desired: DesiredState) -> TierSnapshot:
    """A tier of mostly members that are present and have converged."""
    presence_of = {node: draw(presences) for node in NODES}
    members = {
        node: Member(node, Presence.ALIVE if presence == "present" else Presence.FAILED)
        for node, presence in presence_of.items()
    }
    assigned = {node: desired.assignment_for(node) for node in NODES}
    said = {node: draw(evidences(node, each.generation, each.state)) for node, each in assigned.items()}
    return TierSnapshot(
        desired,
        {node: member for node, member in members.items() if presence_of[node] != "elsewhere"},
        {node: evidence for node, evidence in said.items() if evidence is not None},
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """A wait for one of the tier's generations, or rarely for another."""
    canary = draw(mostly(st.none(), canaries))
    before = draw(canaries) if draw(st.booleans()) else canary
    earlier, present = draw(snapshots(with_canary(before))), draw(snapshots(with_canary(canary)))
    generations = sorted(present.desired.generations)
    generation = draw(st.sampled_from([*generations * 4, 6]))
    failures_after = draw(mostly(st.just(0), st.integers(0, OLD_INDEX)))
    wait = seen(make_wait(generation, failures_after=failures_after), earlier, present)
    return Situation(earlier, present, wait, draw(policies))


thorough = settings(max_examples=examples(3))


# Properties -----------------------------------------------------------------------------------------------------------


def test_strategies_draw_every_verdict():
    """Often enough for the properties below to mean something."""
    seen: Counter[str] = Counter()

    # Hypothesis also draws constants of whatever code is loaded: of a few hundred examples, the shares vary with it.
    @settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    @given(situations())
    def judge_many(situation):
        verdict = situation.judge()
        seen[type(verdict).__name__] += 1
        seen["held by history"] += isinstance(verdict, Converged) and not isinstance(
            replace(situation, wait=replace(situation.wait, still_converged=frozenset())).judge(),
            Converged,
        )

    judge_many()
    total = sum(seen[verdict.__name__] for verdict in (Converged, Waiting, Failed))
    shares = {kind: count / total for kind, count in seen.items()}
    assert shares["Converged"] > 0.3, shares
    assert shares["Waiting"] > 0.1, shares
    assert shares["Failed"] > 0.1, shares
    assert shares["held by history"] > 0.002, shares


@given(situations(), st.integers(0, 3600).map(lambda seconds: timedelta(seconds=seconds)))
def test_every_wait_ends_by_its_deadline(situation, late):
    """From the deadline on, every wait has a verdict, and time alone never makes it a success."""
    before, after = situation.judge(), situation.judge(now=situation.wait.deadline + late)
    assert not isinstance(after, Waiting)
    assert isinstance(after, Converged) == isinstance(before, Converged)
    assert isinstance(before, Waiting) == (isinstance(after, Failed) and after.is_timeout)


@thorough
@given(situations())
def test_silence_is_never_success(situation):
    """A converged tier has at least min_members present members that reported success during this wait.

    A wave has no more of them than the canary covers, but at least one.
    """
    verdict = situation.judge()
    assume(isinstance(verdict, Converged))
    desired = situation.present.desired
    is_wave = desired.canary is not None and desired.canary.assignment.generation == situation.wait.generation
    covered = max(len(verdict.status.nodes), 1)
    needed = min(situation.policy.min_members, covered) if is_wave else situation.policy.min_members
    present = {node for node, member in situation.present.members.items() if member.is_present}
    said_so = {
        node
        for snapshot in (situation.earlier, situation.present)
        for node, evidence in snapshot.evidence.items()
        if isinstance(evidence.report, NodeReport)
        and evidence.report.status == "succeeded"
        and evidence.report.generation == situation.wait.generation
        and evidence.report.state == snapshot.desired.assignment_for(node).state
        and situation.present.desired.assignment_for(node).generation == situation.wait.generation
    }
    assert len(present & said_so) >= needed


@thorough
@given(situations())
def test_only_its_own_report_makes_a_member_converged(situation):
    """Without history, only present members whose report says so have converged."""
    generation = situation.wait.generation
    verdict = verdict_of(situation.present, make_wait(generation), situation.policy)
    for node in verdict.status.by_standing.get(Standing.CONVERGED, []):
        assert situation.present.members[node].is_present
        report = situation.present.evidence[node].report
        state = situation.present.desired.assignment_for(node).state
        assert (report.status, report.generation, report.state) == ("succeeded", generation, state)


@thorough
@given(situations(), st.permutations(NODES), st.data())
def test_more_reports_never_turn_success_into_waiting(situation, nodes, data):
    """A converged tier remains converged, or fails, as its nodes report on their assignments.

    That is: while those whose agents are alive report, anything if they had not converged, and only that they run again
    or succeeded if they had. When a node that had converged says anything else, it has converged no more: that may
    leave too few, and the tier waits for its next run. Reports that cannot be read, and failures of earlier tries,
    count against the budget of failures without failing a wait.
    """
    verdict = situation.judge()
    assume(isinstance(verdict, Converged))
    assume(not verdict.status.count(Standing.MALFORMED) and not verdict.status.count(Standing.FAILED_EARLIER))
    alive = [node for node, member in situation.present.members.items() if member.is_present]
    for node in filter(alive.__contains__, nodes):
        had_converged = node in verdict.status.by_standing.get(Standing.CONVERGED, [])
        assignment = situation.present.desired.assignment_for(node)
        compiled = assignment.generation, assignment.state
        allowed = reports_on(*compiled, Status.SUCCEEDED, Status.RUNNING)
        reports = allowed if had_converged else any_report(*compiled)
        situation = situation.after(node, make_report(node, **data.draw(reports)))
        verdict = situation.judge()
        assert not isinstance(verdict, Waiting)
        if isinstance(verdict, Failed):
            assert not had_converged
            return


@thorough
@given(situations(), st.data(), garbage)
def test_malformed_report_is_no_progress(situation, data, garbage):
    """An unreadable report never raises, never counts as converged, and never ends a wait."""
    before = situation.judge()
    lacking = sorted(set(before.status.nodes).difference(before.status.by_standing.get(Standing.CONVERGED, [])))
    node = data.draw(mostly(st.sampled_from(lacking or NODES), st.sampled_from(NODES)))
    after = situation.after(node, garbage).judge()
    assert node not in after.status.by_standing.get(Standing.CONVERGED, [])
    if isinstance(before, Waiting):
        assert isinstance(after, Waiting)


def test_garbage_has_unknown_schemas():
    """Some of the unreadable documents have a future schema."""
    assert read(json.dumps(json.loads(make_report().to_json()) | {"schema": 2})).kind is UnknownSchema
