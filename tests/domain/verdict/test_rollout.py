"""Where a tier's last rollout stands, by its journal and by its nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies

from airflow_provider_chefconsul.domain.model.desired import Aborted
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave, find_good
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.rollout import RolloutStatus, find_last_rollout, find_stop
from airflow_provider_chefconsul.domain.verdict.served import find_left_state
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import (
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
    make_writer,
)

CANARY = make_canary(8)  # covers web-1
STABLE = make_assignment(7)
BESIDE = make_desired(8, stable=STABLE, canary=CANARY)  # a canary is out
PROMOTED = make_desired(8, stable=CANARY.assignment, previous=7)
BACK = make_desired(8, stable=STABLE)
FIRST, LAST = JournalWave("1", 1, 2), JournalWave("100%", 2, 2)
PERSON = make_writer(dag_id="operate", run_id="by hand")
ABORTED = replace(BACK, aborted=Aborted("shop_rollout", "manual__1", 8, PERSON, "too slow"))
THERE = make_report("web-1", generation=8)
RUNNING = make_report("web-1", generation=7)


def journal(*acts):
    """Entries about web, a second apart; each is given as (act, assignment or None) and what else it has."""
    entries = []
    for second, (act, about, other) in enumerate(acts):
        fields = {"by": make_writer(), "at": f"2026-11-22T08:00:{second:02d}.000Z"} | other
        of_wave = {"tiers": {"web": about}} if about else {"scope": ("web",)}
        entries.append(JournalEntry(act=act, **of_wave, **fields))
    return entries


BEGUN = (JournalAct.DECLARED, CANARY.assignment, {"wave": FIRST})
FAILED = (JournalAct.FAILED, CANARY.assignment, {"wave": FIRST, "reason": "1 failed"})
IN_PLACE = (JournalAct.CONVERGED, CANARY.assignment, {"wave": FIRST})
MOVED = (JournalAct.PROMOTED, CANARY.assignment, {"wave": LAST})
DONE = (JournalAct.CONVERGED, CANARY.assignment, {})
ROLLED_BACK = (JournalAct.ROLLED_BACK, STABLE, {})
OTHER = (JournalAct.CONVERGED, STABLE, {})
NOT_BACK = (JournalAct.FAILED, STABLE, {"reason": "2 not reported"})
GATE_FAILED = (JournalAct.GATE_FAILED, None, {"wave": LAST, "reason": "metrics: 0.04"})
REJECTED = (JournalAct.REJECTED, None, {"wave": LAST, "reason": "by ada"})
APPROVED = (JournalAct.APPROVED, None, {"wave": LAST, "reason": "by bob"})
ALL_BACK = [make_report(f"web-{number}") for number in (1, 2, 3)]
LOST = make_snapshot(make_report("web-1", status=Status.RUNNING, finished_at=None), desired=BACK, absent=["web-1"])

CASES = {
    "its nodes are awaited": (BESIDE, [BEGUN], RUNNING, RolloutStatus.NODES, FIRST, ""),
    "a canary of the command line is there": (BESIDE, [BEGUN], THERE, RolloutStatus.NEXT_WAVE, FIRST, ""),
    "its wave is there": (BESIDE, [OTHER, BEGUN, IN_PLACE], THERE, RolloutStatus.NEXT_WAVE, FIRST, ""),
    "its wave failed": (BESIDE, [BEGUN, FAILED], make_failure(generation=8), RolloutStatus.FAILED, FIRST, "1 failed"),
    "it went on after a failure": (PROMOTED, [BEGUN, FAILED, MOVED], THERE, RolloutStatus.NODES, LAST, ""),
    "all nodes are there": (PROMOTED, [BEGUN, IN_PLACE, MOVED, DONE], THERE, RolloutStatus.CONVERGED, LAST, ""),
    "the gate of its next wave failed": (
        BESIDE, [BEGUN, IN_PLACE, GATE_FAILED], THERE, RolloutStatus.GATE_FAILED, LAST, "metrics: 0.04",
    ),
    "its next wave was rejected": (BESIDE, [BEGUN, IN_PLACE, REJECTED], THERE, RolloutStatus.REJECTED, LAST, "by ada"),
    "its next wave was approved after all": (
        BESIDE, [BEGUN, IN_PLACE, REJECTED, APPROVED], THERE, RolloutStatus.NEXT_WAVE, FIRST, "",
    ),
    "its gate passed after all": (
        PROMOTED, [BEGUN, IN_PLACE, GATE_FAILED, MOVED], THERE, RolloutStatus.NODES, LAST, "",
    ),
    "another Dag run's wave was rejected": (
        BESIDE, [BEGUN, IN_PLACE, (*REJECTED[:2], {**REJECTED[2], "by": make_writer(run_id="another")})], THERE,
        RolloutStatus.NEXT_WAVE, FIRST, "",
    ),
    "it was rolled back after a failure": (
        BACK, [BEGUN, FAILED, ROLLED_BACK], ALL_BACK, RolloutStatus.ROLLED_BACK, FIRST, "1 failed",
    ),
    "it was rolled back after its gate": (
        BACK, [BEGUN, IN_PLACE, GATE_FAILED, ROLLED_BACK], ALL_BACK, RolloutStatus.ROLLED_BACK, FIRST, "metrics: 0.04",
    ),
    "it was rolled back for a reason": (
        BACK, [BEGUN, FAILED, (JournalAct.ROLLED_BACK, STABLE, {"reason": "no", "by": PERSON})], ALL_BACK,
        RolloutStatus.ROLLED_BACK, FIRST, "no",
    ),
    "it was aborted": (
        ABORTED, [BEGUN, (JournalAct.ROLLED_BACK, STABLE, {"reason": "too slow", "by": PERSON})], ALL_BACK,
        RolloutStatus.ABORTED, FIRST, "too slow",
    ),
    "its nodes go back": (
        ABORTED, [BEGUN, (JournalAct.ROLLED_BACK, STABLE, {"reason": "too slow", "by": PERSON})], RUNNING,
        RolloutStatus.ROLLING_BACK, FIRST, "too slow",
    ),
    "a node failed on the way back": (
        BACK, [BEGUN, FAILED, ROLLED_BACK], make_failure(), RolloutStatus.ROLLBACK_FAILED, FIRST, "1 failed",
    ),
    "a node was lost on the way back": (
        BACK, [BEGUN, FAILED, ROLLED_BACK], LOST, RolloutStatus.ROLLBACK_FAILED, FIRST, "1 failed",
    ),
    "the wait for the way back failed": (
        BACK, [BEGUN, FAILED, ROLLED_BACK, NOT_BACK], RUNNING, RolloutStatus.ROLLBACK_FAILED, FIRST, "1 failed",
    ),
    "it got back after that wait": (
        BACK, [BEGUN, FAILED, ROLLED_BACK, NOT_BACK], ALL_BACK, RolloutStatus.ROLLED_BACK, FIRST, "1 failed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("desired", "acts", "reports", "status", "wave", "reason"), CASES.values(), ids=CASES)
def test_where_a_rollout_stands(desired, acts, reports, status, wave, reason):
    """With its wave, and with the reason of whoever gave one; the Dag run is the one that began it."""
    snapshot = reports
    if not isinstance(reports, TierSnapshot):
        snapshot = make_snapshot(*(reports if isinstance(reports, list) else [reports]), desired=desired)
    found = find_last_rollout("web", tier_status(snapshot), journal(*acts))
    assert found is not None
    assert (found.status, found.wave, found.reason) == (status, wave, reason)
    assert (found.declared, found.begun_by) == (CANARY.assignment, make_writer())
    assert found.said_by == (PERSON if reason in {"no", "too slow"} else make_writer())
    last = next(each for each in reversed(journal(*acts)) if is_told(each, found))
    assert found.since == last.at


def is_told(entry, rollout):
    """Whether an entry is one that the rollout stands by: not what is no longer so."""
    is_over = rollout.status == RolloutStatus.ROLLED_BACK and entry.act == JournalAct.FAILED
    return not is_over and not (rollout.status == RolloutStatus.NEXT_WAVE and entry.scope)


def test_what_stopped_the_rollout_of_a_dag_run():
    """For whoever rolls it back; nothing once the rollout went on, or somebody else moved the tier."""
    begun_by = make_writer(task_id="roll_back")
    for stop in (FAILED, GATE_FAILED, REJECTED):
        assert find_stop("web", journal(BEGUN, stop), begun_by=begun_by) == journal(BEGUN, stop)[-1]
        for after in (MOVED, IN_PLACE):
            assert find_stop("web", journal(BEGUN, stop, after), begun_by=begun_by) is None
        assert find_stop("web", journal(BEGUN, stop), begun_by=PERSON) is None
        assert find_stop("db", journal(BEGUN, stop), begun_by=begun_by) is None


@pytest.mark.parametrize("acts", [[], [OTHER], [ROLLED_BACK], [(JournalAct.DECLARED, STABLE, {})]])
def test_nothing_is_said_of_what_the_journal_does_not_tell(acts):
    """Such as a tier that was written before there was a journal, or whose entries are gone."""
    assert find_last_rollout("web", tier_status(make_snapshot(desired=BESIDE)), journal(*acts)) is None


def test_other_tiers_are_not_its_business():
    """Each has a rollout of its own."""
    other = [replace(each, tiers={"db": CANARY.assignment}) for each in journal(BEGUN, FAILED)]
    found = find_last_rollout("web", tier_status(make_snapshot(RUNNING, desired=BESIDE)), [*journal(BEGUN), *other])
    assert found is not None
    assert found.status == RolloutStatus.NODES


STOPPED = {
    RolloutStatus.FAILED: FAILED, RolloutStatus.GATE_FAILED: GATE_FAILED, RolloutStatus.REJECTED: REJECTED,
}  # fmt: skip
ACTS = [BEGUN, FAILED, IN_PLACE, MOVED, DONE, ROLLED_BACK, NOT_BACK, OTHER, GATE_FAILED, REJECTED, APPROVED]


@given(strategies.lists(strategies.sampled_from(ACTS)), strategies.integers(0, 5))
def test_a_slot_that_is_freed_moves_nothing(acts, at):
    """Whenever that was, and whoever did it: the rollout stands as it stood, and good is what was good before."""
    before = journal(*acts)
    freed = JournalEntry("", make_writer(), JournalAct.SLOT_FREED, scope=("web",), node="web-1")
    after = [*before[:at], freed, *before[at:]]
    for desired in (BESIDE, PROMOTED, BACK, ABORTED):
        status = tier_status(make_snapshot(RUNNING, desired=desired))
        assert find_last_rollout("web", status, after) == find_last_rollout("web", status, before)
        assert find_left_state("web", desired, {}, after) == find_left_state("web", desired, {}, before)
    assert find_good(after, "web") == find_good(before, "web")


@given(strategies.lists(strategies.sampled_from(ACTS)))
def test_no_journal_makes_a_rollout_of_what_is_not_desired(acts):
    """Whatever it tells: the assignment is the newest one, and only a wait makes a rollout fail."""
    for desired in (BESIDE, PROMOTED, BACK, ABORTED):
        found = find_last_rollout("web", tier_status(make_snapshot(RUNNING, desired=desired)), journal(*acts))
        if found is not None:
            assert found.assignment.is_same_as(desired.newest)
            assert found.status not in STOPPED or STOPPED[found.status] in acts
            assert found.status not in {RolloutStatus.ROLLED_BACK, RolloutStatus.ABORTED} or OTHER in acts
            assert found.status != RolloutStatus.CONVERGED or desired.canary is None
