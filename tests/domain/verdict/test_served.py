"""What a tier was before, and the state in which it last served."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.writer import COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.verdict.served import find_before, find_beginning, find_left_state
from tests.support.factory import make_assignment, make_desired, make_writer

BEFORE, NOW = make_writer(run_id="manual__1"), make_writer(run_id="manual__2")
EARLIER, BY_HAND = make_writer(run_id="manual__0"), Writer(COMMAND_LINE, "ada", "set")
UP, OFF = make_assignment(6), make_assignment(7, state="off")
DESIRED = make_desired(7, stable=OFF, previous=6, written_by=NOW)
HISTORY = {6: make_desired(6, stable=UP, written_by=BEFORE), 7: DESIRED}


def said(by, assignment, act=JournalAct.CONVERGED, **fields):
    """An entry about web."""
    return JournalEntry("2026-11-22T07:00:00.000Z", by, act, {"web": assignment}, **fields)


SERVED, IS_OFF = said(BEFORE, UP), said(NOW, OFF)


@pytest.mark.parametrize(
    ("desired", "entries", "left"),
    [
        (DESIRED, [SERVED], UP),
        (DESIRED, [SERVED, IS_OFF], UP),  # all its nodes are there, and it does not serve
        (DESIRED, [], None),
        (DESIRED, [IS_OFF], None),
        (DESIRED, [said(BEFORE, UP, wave=JournalWave("25%", 1, 3)), IS_OFF], None),  # part of it served so
        (DESIRED, [said(BEFORE, UP, act=JournalAct.FAILED)], None),
        (DESIRED, [replace(SERVED, tiers={"db": UP})], None),
        (DESIRED, [SERVED, said(BEFORE, replace(UP, state="off"))], None),  # it was off already
        (replace(DESIRED, stable=replace(UP, generation=7)), [SERVED], None),
        (DESIRED, [said(EARLIER, OFF), SERVED, IS_OFF], None),  # it is off every night
        (DESIRED, [said(BY_HAND, UP), IS_OFF], None),  # what a person tried is not what it is for
    ],
)
def test_the_state_that_a_tier_left(desired, entries, left):
    """Where the Dag run before the present one left it; None where one has left it as it is now, or nobody knows."""
    assert find_left_state("web", desired, {**HISTORY, 7: desired}, entries) == left


def test_what_it_was_before():
    """By the history, as far as that goes."""
    assert find_before(DESIRED, HISTORY) == UP
    assert find_before(DESIRED, {}) is None
    assert find_before(replace(DESIRED, previous=None), HISTORY) is None


def test_since_when_it_is_so():
    """Since the generation was written, or since all nodes got it."""
    assert find_beginning("web", DESIRED, HISTORY, [SERVED]) == "2026-11-22T08:00:00Z"
    promoted = replace(said(NOW, OFF, act=JournalAct.PROMOTED), at="2026-11-22T08:30:00Z")
    assert find_beginning("web", DESIRED, HISTORY, [promoted]) == "2026-11-22T08:30:00Z"
