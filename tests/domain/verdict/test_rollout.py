"""Where a tier's last rollout stands, by its journal and by its nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies

from airflow_provider_chefconsul.domain.model.desired import Aborted
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.verdict.rollout import RolloutStatus, find_last_rollout
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
    """Entries about web, a second apart; each is given as (act, assignment) and what else it has."""
    entries = []
    for second, (act, about, other) in enumerate(acts):
        fields = {"by": make_writer(), "at": f"2026-11-22T08:00:{second:02d}.000Z"} | other
        entries.append(JournalEntry(act=act, tiers={"web": about}, **fields))
    return entries


BEGUN = (JournalAct.DECLARED, CANARY.assignment, {"wave": FIRST})
FAILED = (JournalAct.FAILED, CANARY.assignment, {"wave": FIRST, "reason": "1 failed"})
IN_PLACE = (JournalAct.CONVERGED, CANARY.assignment, {"wave": FIRST})
MOVED = (JournalAct.PROMOTED, CANARY.assignment, {"wave": LAST})
DONE = (JournalAct.CONVERGED, CANARY.assignment, {})
ROLLED_BACK = (JournalAct.ROLLED_BACK, STABLE, {})
OTHER = (JournalAct.CONVERGED, STABLE, {})

CASES = {
    "its nodes are awaited": (BESIDE, [BEGUN], RUNNING, RolloutStatus.NODES, FIRST, ""),
    "a canary of the command line is there": (BESIDE, [BEGUN], THERE, RolloutStatus.NEXT_WAVE, FIRST, ""),
    "its wave is there": (BESIDE, [OTHER, BEGUN, IN_PLACE], THERE, RolloutStatus.NEXT_WAVE, FIRST, ""),
    "its wave failed": (BESIDE, [BEGUN, FAILED], make_failure(generation=8), RolloutStatus.FAILED, FIRST, "1 failed"),
    "it went on after a failure": (PROMOTED, [BEGUN, FAILED, MOVED], THERE, RolloutStatus.NODES, LAST, ""),
    "all nodes are there": (PROMOTED, [BEGUN, IN_PLACE, MOVED, DONE], THERE, RolloutStatus.CONVERGED, LAST, ""),
    "it was rolled back after a failure": (
        BACK, [BEGUN, FAILED, ROLLED_BACK], RUNNING, RolloutStatus.ROLLED_BACK, FIRST, "1 failed",
    ),
    "it was rolled back for a reason": (
        BACK, [BEGUN, FAILED, (JournalAct.ROLLED_BACK, STABLE, {"reason": "no", "by": PERSON})], RUNNING,
        RolloutStatus.ROLLED_BACK, FIRST, "no",
    ),
    "it was aborted": (
        ABORTED, [BEGUN, (JournalAct.ROLLED_BACK, STABLE, {"reason": "too slow", "by": PERSON})], RUNNING,
        RolloutStatus.ABORTED, FIRST, "too slow",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("desired", "acts", "report", "status", "wave", "reason"), CASES.values(), ids=CASES)
def test_where_a_rollout_stands(desired, acts, report, status, wave, reason):
    """With its wave, and with the reason of whoever gave one; the Dag run is the one that began it."""
    found = find_last_rollout("web", tier_status(make_snapshot(report, desired=desired)), journal(*acts))
    assert found is not None
    assert (found.status, found.wave, found.reason) == (status, wave, reason)
    assert (found.declared, found.begun_by) == (CANARY.assignment, make_writer())
    assert found.said_by == (PERSON if reason in {"no", "too slow"} else make_writer())
    assert found.since == journal(*acts)[-1].at


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


@given(strategies.lists(strategies.sampled_from([BEGUN, FAILED, IN_PLACE, MOVED, DONE, ROLLED_BACK, OTHER])))
def test_no_journal_makes_a_rollout_of_what_is_not_desired(acts):
    """Whatever it tells: the assignment is the newest one, and only a wait makes a rollout fail."""
    for desired in (BESIDE, PROMOTED, BACK, ABORTED):
        found = find_last_rollout("web", tier_status(make_snapshot(RUNNING, desired=desired)), journal(*acts))
        if found is not None:
            assert found.assignment.is_same_as(desired.newest)
            assert found.status != RolloutStatus.FAILED or FAILED in acts
            assert found.status != RolloutStatus.CONVERGED or desired.canary is None
