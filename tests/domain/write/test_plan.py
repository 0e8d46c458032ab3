"""What a change would do to a tier, before it is made."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.write.change import Refused, Unchanged, Write, plan_write
from airflow_provider_chefconsul.domain.write.plan import Difference, change_for, preview_waves, preview_write
from airflow_provider_chefconsul.domain.write.wave import check_waves
from tests.support.factory import make_assignment, make_canary, make_change, make_desired, make_members, make_writer

MOMENT = "2026-11-22T08:00:00Z"
NODES = tuple(f"web-{number}" for number in range(1, 9))
EIGHT = make_members(*NODES)
NEXT = make_change(values={"release": "2.6.0"})


def look(current, change, members=EIGHT):
    """The preview of one write."""
    return preview_write(
        current, plan_write(current, change, written_at=MOMENT, members=members), members, change.canary
    )


def look_at_waves(current, change, waves, members=EIGHT):
    """The preview of a rollout."""
    first = plan_write(current, change_for(change, waves[0], is_first=True), written_at=MOMENT, members=members)
    return preview_waves(current, first, change, waves, members, written_at=MOMENT, newest_generation=7)


def test_first_desired_state_is_all_new():
    """Every member is assigned something, and everything differs."""
    step = look(None, NEXT)
    assert (step.before, step.nodes) == (None, NODES)
    assert step.differences == [
        Difference("", (), ("converged",)),
        Difference("release", (), ("2.6.0",)),
    ]


def test_differences_are_typed_and_name_what_goes():
    """1 and true differ; null is a value, and not the same as none."""
    current = make_desired(stable=make_assignment(values={"a": 1, "b": None, "same": "x", "gone": 2}))
    step = look(current, make_change(state="off", values={"a": True, "same": "x", "b": "", "new": None}))
    assert step.differences == [
        Difference("", ("converged",), ("off",)),
        Difference("a", (1,), (True,)),
        Difference("b", (None,), ("",)),
        Difference("gone", (2,), ()),
        Difference("new", (), (None,)),
    ]


def test_nothing_to_write_moves_nobody():
    """Unchanged and refused alike."""
    for change, kind in ((make_change(), Unchanged), (make_change(allowed_from=["off"], state="on"), Refused)):
        step = look(make_desired(), change)
        assert isinstance(step.decision, kind)
        assert (step.nodes, step.differences) == ((), [])


def test_promoting_moves_the_others():
    """Whom the canary covers has it already; what differs is what the others had."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    step = look(current, NEXT)
    assert step.nodes == NODES[1:]
    assert step.differences == [Difference("release", ("2.5.0",), ("2.6.0",))]


def test_taking_back_moves_the_canary():
    """What differs is the other way round."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    step = look(current, make_change())
    assert step.nodes == ("web-1",)
    assert step.differences == [Difference("release", ("2.6.0",), ("2.5.0",))]


def test_waves_are_what_writing_them_gives():
    """Each takes what it adds to those before, and the last one promotes."""
    current, waves = make_desired(), check_waves([1, "50%", "100%"])
    steps = look_at_waves(current, NEXT, waves)
    assert [len(step.nodes) for step in steps] == [1, 3, 4]
    assert sorted(node for step in steps for node in step.nodes) == list(NODES)
    standing = current
    for number, (wave, step) in enumerate(zip(waves, steps, strict=True)):
        change = change_for(NEXT, wave, is_first=number == 0)
        decision = plan_write(standing, change, written_at=MOMENT, newest_generation=7, members=EIGHT)
        assert decision == step.decision
        assert isinstance(decision, Write)
        standing = decision.desired
    assert standing.canary is None


def test_waves_without_all_leave_the_rest():
    """They end where they are told to."""
    steps = look_at_waves(make_desired(), NEXT, check_waves([1, 2]))
    assert [len(step.nodes) for step in steps] == [1, 1]


def test_wave_that_adds_nobody_does_not_end_the_preview():
    """10% of eight is one node, which the first wave has already."""
    steps = look_at_waves(make_desired(), NEXT, check_waves([1, "10%", "100%"]))
    assert [type(step.decision) for step in steps] == [Write, Unchanged, Write]
    assert [len(step.nodes) for step in steps] == [1, 0, 7]


def test_refused_wave_ends_the_preview():
    """What comes after it would never be."""
    for current in (None, make_desired(sequence=NEXT.sequence + 1)):
        (step,) = look_at_waves(current, NEXT, check_waves([1, "100%"]))
        assert isinstance(step.decision, Refused)


def test_force_is_of_the_first_wave():
    """It would begin a generation in each else."""
    change = make_change(writer=make_writer(run_id="manual__2"), force=True)
    steps = look_at_waves(make_desired(), change, check_waves([1, 2, "100%"]))
    assert {step.decision.generation for step in steps} == {8}


@pytest.mark.parametrize("spread", ["meta:zone", None])
def test_spread_is_of_waves_that_choose(spread):
    """Not of named nodes, nor of all."""
    waves = check_waves([1, ["web-1", "web-2"], "100%"], spread)
    assert [wave.spread for wave in waves] == ["zone" if spread else None, None, None]
