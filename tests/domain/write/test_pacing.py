"""How fast a change may be taken up: what an author asks for, and what it does to a tier that has the content."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_chefconsul.domain.model.desired import Aborted, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.pace import NO_LIMIT, AssignmentPace
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Unchanged, Write, describe_decision
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import (
    make_assignment,
    make_basis,
    make_canary,
    make_change,
    make_desired,
    make_members,
    make_writer,
)

FORTY = make_members(*(f"web-{number}" for number in range(40)), absent=("web-40", "web-41"))


@pytest.mark.parametrize(
    ("slots", "pace"),
    [
        (None, NO_LIMIT),
        (2, AssignmentPace(2)),
        ("2", AssignmentPace(2)),
        (100, AssignmentPace(100)),  # more than the tier has: it limits nothing, until nodes are added
        ("5%", AssignmentPace(2)),
        ("9%", AssignmentPace(3)),  # of those present, rounded down
        ("1%", AssignmentPace(1)),
        ("100%", AssignmentPace(40)),
    ],
)
def test_slots_of_the_members(slots, pace):
    """A number, or a share of the members present, but at least one."""
    assert parse_pacing(slots).resolve(FORTY) == pace


def test_share_of_nobody_is_one():
    """A tier that has no nodes yet."""
    assert parse_pacing("5%").resolve({}) == AssignmentPace(1)


def test_all_of_it():
    """Seconds in the document, a duration to authors."""
    pacing = parse_pacing(2, "meta:rack", timedelta(minutes=5))
    assert pacing.resolve({}) == AssignmentPace(2, "meta:rack", 300)
    assert not pacing.needs_members
    assert parse_pacing("5%").needs_members


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slots": 0}, 'slots must be a number of nodes from 1 or "1%" to "100%", not 0'),
        ({"slots": "0%"}, "slots must be a number"),
        ({"slots": -1}, "slots must be a number"),
        ({"slots": 1.5}, "slots must be a number"),
        ({"slots": True}, "slots must be a number"),
        ({"slots": "101%"}, "slots must be a number"),
        ({"per": "meta:rack"}, "per requires slots"),
        ({"slots": 1, "per": "rack"}, "per must be \"meta:KEY\", not 'rack'"),
        ({"slots": 1, "per": "meta:"}, "per must be"),
        ({"slots": "5%", "per": "meta:rack"}, "with per, slots must be a number of nodes, not '5%'"),
        ({"spread_over": 5}, "spread_over must be a timedelta"),
        ({"spread_over": timedelta(seconds=-1)}, "spread_over must be a timedelta"),
    ],
)
def test_refused(given, words):
    """Names the parameter."""
    with pytest.raises(InvalidInput, match=words):
        parse_pacing(**given)


def plan(current: DesiredState | None, change: Change, **basis: Any) -> Any:
    """The decision about a change."""
    return plan_write(make_basis(current, **basis), change)


def test_new_assignment_has_the_pace():
    """The whole tier's, and a canary's; of the members of the tier, not of the wave."""
    share = parse_pacing("5%")
    assert plan(None, make_change(pacing=share), members=FORTY).assignment.pace == AssignmentPace(2)
    wave = make_change(values={"release": "2.6.0"}, pacing=share, canary=Wave.parse(4))
    decision = plan(make_desired(), wave, members=FORTY)
    assert decision.desired.canary.assignment.pace == AssignmentPace(2)
    assert decision.desired.stable.pace == NO_LIMIT
    wider = plan(decision.desired, replace(wave, canary=Wave.parse(8), pacing=parse_pacing(3)), members=FORTY)
    assert (wider.desired.canary.assignment.pace, wider.is_new) == (AssignmentPace(3), False)
    promoted = plan(wider.desired, replace(wave, canary=None, pacing=parse_pacing(5)))
    assert promoted.desired.stable.pace == AssignmentPace(5)


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [(None, 2, AssignmentPace(2)), (2, 3, AssignmentPace(3)), (2, None, NO_LIMIT)],
    ids=str,
)
def test_same_content_at_another_pace(before, asked, after):
    """Keeps the generation, its writer and its time, and only says how fast."""
    pace = parse_pacing(before).resolve({})
    current = make_desired(stable=make_assignment(pace=pace))
    decision = plan(current, make_change(writer=make_writer(run_id="another"), pacing=parse_pacing(asked)))
    assert decision == Write(
        replace(current, stable=make_assignment(pace=after)),
        7,
        is_new=False,
        assigns=False,
        act=JournalAct.PACED,
    )
    assert describe_decision(decision) == f"wrote only its pace, {after}; generation 7 stays"


def test_canary_at_another_pace():
    """The stable assignment keeps its own."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    change = make_change(values={"release": "2.6.0"}, canary=Wave.parse(["web-1"]), pacing=parse_pacing(2))
    decision = plan(current, change, members=make_members("web-1", "web-2"))
    assert decision.desired.canary.assignment.pace == AssignmentPace(2)
    assert (decision.assigns, decision.is_paced, decision.desired.stable) == (False, True, current.stable)


def test_same_pace_is_unchanged():
    """A retry writes nothing."""
    current = make_desired(stable=make_assignment(pace=AssignmentPace(2)))
    assert plan(current, make_change(pacing=parse_pacing(2))) == Unchanged(7)


def test_stale_and_aborted_writes_do_not_set_the_pace():
    """What an operator has set by hand meanwhile stays."""
    current = make_desired(stable=make_assignment(pace=AssignmentPace(2)))
    assert plan(current, make_change(sequence=1)) == Unchanged(7)
    aborted = Aborted("shop_rollout", "manual__1", 8, make_writer(), "no")
    assert plan(replace(current, aborted=aborted), make_change()) == Unchanged(7)


def test_later_time_and_pace_together():
    """Both are recorded."""
    decision = plan(make_desired(), make_change(sequence=1763769601, pacing=parse_pacing(2)))
    assert (decision.desired.sequence, decision.desired.stable.pace) == (1763769601, AssignmentPace(2))


def test_rollback_keeps_the_newest_pace():
    """Old content may be from before anybody set a limit; all nodes at once is the worst moment for that."""
    old = make_desired(6)
    current = make_desired(7, stable=make_assignment(7, values={}, pace=AssignmentPace(2)), previous=6)
    decision = plan_rollback(make_basis(current, history={6: old, 7: current}), RollBack(make_writer(run_id="2")))
    assert isinstance(decision, Write)
    assert (decision.assignment.generation, decision.assignment.pace) == (8, AssignmentPace(2))
