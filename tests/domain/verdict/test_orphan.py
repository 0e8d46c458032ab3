"""Which rollouts were left in the middle by their Dag runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.writer import BOARD, COMMAND_LINE
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate, find_orphan, find_runs_to_ask_for
from tests.support.factory import NOW, make_assignment, make_canary, make_desired, make_lease, make_writer

RUN = DagRun.of(make_writer())
BESIDE = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
FAILED, SUCCEEDED = RunEnd(RUN, RunFate.FAILED, NOW), RunEnd(RUN, RunFate.SUCCEEDED, NOW)


def move(number, *, of=3):
    """The entry of a wave; without a number, of a canary outside a rollout."""
    wave = JournalWave("25%", number, of if number else None)
    return JournalEntry("2026-11-22T08:00:00.000Z", make_writer(), JournalAct.DECLARED, {"web": BESIDE.newest}, wave)


@pytest.mark.parametrize(
    ("desired", "end", "entries", "is_orphan"),
    [
        (BESIDE, FAILED, [], True),
        (BESIDE, RunEnd(RUN, RunFate.GONE), [], True),
        (BESIDE, RunEnd(RUN, RunFate.FENCED, NOW), [], True),
        (BESIDE, None, [move(1)], False),  # it goes on, or nobody knows
        (BESIDE, SUCCEEDED, [move(1)], True),  # as when somebody marks the run as success
        (BESIDE, SUCCEEDED, [move(None)], False),  # the Dag leaves the canary to another one
        (BESIDE, SUCCEEDED, [], False),
        (make_desired(8), FAILED, [move(1)], False),  # all nodes have it, and converge by themselves
        (replace(BESIDE, written_by=make_writer(dag_id=COMMAND_LINE)), FAILED, [], False),
        (None, FAILED, [], False),
    ],
)
def test_what_is_left_in_the_middle(desired, end, entries, is_orphan):
    """A canary, by a Dag run that has ended; one that succeeded meant no more, unless there was another wave."""
    ends = {} if end is None else {RUN: end}
    assert find_orphan("web", desired, ends, entries=entries, lease=None) == (end if is_orphan else None)


def test_the_last_wave_is_no_orphan_of_a_run_that_succeeded():
    """Its canary covers all that was meant, whatever it is of."""
    assert find_orphan("web", BESIDE, {RUN: SUCCEEDED}, entries=[move(1), move(3)], lease=None) is None
    assert find_orphan("web", BESIDE, {RUN: SUCCEEDED}, entries=[move(3), move(1)], lease=None) == SUCCEEDED
    assert find_orphan("db", BESIDE, {RUN: SUCCEEDED}, entries=[move(1)], lease=None) is None  # that is another tier's


OTHER = DagRun("other", "manual__9")


@pytest.mark.parametrize(
    ("holder", "end_of_holder", "is_orphan"),
    [
        (OTHER, None, False),  # it goes on, or is another Airflow's: it may have repeated the waves of the run before
        (OTHER, RunEnd(OTHER, RunFate.GONE), False),
        (OTHER, RunEnd(OTHER, RunFate.FAILED), True),
        (RUN, RunEnd(RUN, RunFate.FAILED), True),  # and nobody has released it
        (RUN, RunEnd(RUN, RunFate.GONE), False),  # another Airflow's, which holds it
    ],
)
def test_while_another_run_holds_the_environment_the_rollout_is_that_runs(holder, end_of_holder, is_orphan):
    """Unless that has ended, too."""
    ends = {RUN: FAILED} | ({holder: end_of_holder} if end_of_holder else {})
    found = find_orphan("web", BESIDE, ends, entries=[], lease=make_lease(holder=holder))
    assert found == (ends[RUN] if is_orphan else None)


def test_only_dag_runs_with_a_canary_are_asked_for():
    """Each once, and whoever holds the environment then; people have no Dag run."""
    by_person = replace(BESIDE, written_by=make_writer(dag_id=BOARD))
    assert find_runs_to_ask_for([BESIDE, BESIDE, make_desired(8), by_person, None], None) == {RUN}
    assert find_runs_to_ask_for([BESIDE], make_lease(holder=OTHER)) == {RUN, OTHER}
    assert find_runs_to_ask_for([by_person], make_lease(holder=OTHER)) == set()
