"""The effect of a change on a tier, before it is made."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.decision import Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.plan import MISSING, Difference, change_for, plan_wave, plan_waves
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.factory import (
    make_assignment,
    make_basis,
    make_canary,
    make_change,
    make_desired,
    make_members,
    make_writer,
)

NODES = tuple(f"web-{number}" for number in range(1, 9))
EIGHT = make_members(*NODES)
NEXT = make_change(values={"release": "2.6.0"})


def look(current, change, members=EIGHT):
    """The effect of one write."""
    basis = make_basis(current, members=members)
    return plan_wave(basis, plan_write(basis, change), change.canary)


def look_at_waves(current, change, waves, members=EIGHT):
    """The effect of each wave of a rollout."""
    basis = make_basis(current, members=members)
    first = plan_write(basis, change_for(change, waves[0], is_first=True))
    return plan_waves(basis, first, change, waves)


def test_first_desired_state_is_all_new():
    """Every member gets an assignment, and everything differs."""
    wave = look(None, NEXT)
    assert (wave.before, wave.nodes) == (None, NODES)
    assert wave.differences == [
        Difference("", MISSING, "converged"),
        Difference("release", MISSING, "2.6.0"),
    ]


def test_differences_are_typed_and_name_removed_values():
    """1 and true differ; null is a value, and differs from a missing one."""
    current = make_desired(stable=make_assignment(values={"a": 1, "b": None, "same": "x", "gone": 2}))
    wave = look(current, make_change(state="off", values={"a": True, "same": "x", "b": "", "new": None}))
    assert wave.differences == [
        Difference("", "converged", "off"),
        Difference("a", 1, True),
        Difference("b", None, ""),
        Difference("gone", 2, MISSING),
        Difference("new", MISSING, None),
    ]


def test_nothing_to_write_moves_nobody():
    """Whether unchanged or refused."""
    for change, kind in ((make_change(), Unchanged), (make_change(allowed_from=["off"], state="on"), Refused)):
        wave = look(make_desired(), change)
        assert isinstance(wave.decision, kind)
        assert (wave.nodes, wave.differences) == ((), [])


def test_promoting_moves_the_others():
    """Nodes in the canary already have the assignment; the difference is to what the others had."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    wave = look(current, NEXT)
    assert wave.nodes == NODES[1:]
    assert wave.differences == [Difference("release", "2.5.0", "2.6.0")]


def test_rolling_back_moves_the_canary():
    """The difference is reversed."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    wave = look(current, make_change())
    assert wave.nodes == ("web-1",)
    assert wave.differences == [Difference("release", "2.6.0", "2.5.0")]


def test_nodes_leave_what_each_has():
    """While a canary is out, another release for all takes its node from one assignment and the others from another."""
    current = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    planned = look(current, make_change(values={"release": "2.7.0"}))
    moves = {move.before.values["release"]: move.nodes for move in planned.moves}
    assert moves == {"2.6.0": ("web-1",), "2.5.0": NODES[1:]}
    assert planned.nodes == NODES
    assert planned.left_states == []


def test_states_that_are_left():
    """Of all nodes that leave one, and of a tier without members, too."""
    canary = make_canary(8, assignment=make_assignment(8, state="waiting"))
    current = make_desired(8, stable=make_assignment(7), canary=canary)
    planned = look(current, make_change(state="off"))
    assert sorted(planned.left_states) == ["converged", "waiting"]
    assert look(make_desired(7), make_change(state="off"), {}).left_states == ["converged"]


def test_waves_match_their_writes():
    """Each wave moves the nodes that it adds, and the last one promotes."""
    current, waves = make_desired(), Wave.parse_all([1, "50%", "100%"])
    planned = look_at_waves(current, NEXT, waves)
    assert [len(wave.nodes) for wave in planned] == [1, 3, 4]
    assert sorted(node for wave in planned for node in wave.nodes) == list(NODES)
    standing = current
    for number, (wave, each) in enumerate(zip(waves, planned, strict=True)):
        change = change_for(NEXT, wave, is_first=number == 0)
        decision = plan_write(make_basis(standing, members=EIGHT), change)
        assert decision == each.decision
        assert isinstance(decision, Write)
        standing = decision.desired
    assert standing.canary is None


def test_waves_without_all_leave_the_rest():
    """They end where the author ends them."""
    planned = look_at_waves(make_desired(), NEXT, Wave.parse_all([1, 2]))
    assert [len(wave.nodes) for wave in planned] == [1, 1]


def test_wave_that_adds_nobody_does_not_end_the_plan():
    """10% of eight is one node, which the first wave already has."""
    planned = look_at_waves(make_desired(), NEXT, Wave.parse_all([1, "10%", "100%"]))
    assert [type(wave.decision) for wave in planned] == [Write, Unchanged, Write]
    assert [len(wave.nodes) for wave in planned] == [1, 0, 7]


def test_refused_wave_ends_the_plan():
    """Later waves would never run."""
    for current in (None, make_desired(sequence=NEXT.sequence + 1)):
        (wave,) = look_at_waves(current, NEXT, Wave.parse_all([1, "100%"]))
        assert isinstance(wave.decision, Refused)


def test_force_applies_to_the_first_wave():
    """Otherwise every wave would begin a generation."""
    change = make_change(writer=make_writer(run_id="manual__2"), force=True)
    planned = look_at_waves(make_desired(), change, Wave.parse_all([1, 2, "100%"]))
    assert {wave.decision.generation for wave in planned} == {8}


@pytest.mark.parametrize("spread", ["meta:zone", None])
def test_spread_applies_to_waves_that_choose(spread):
    """Not to listed nodes, nor to all."""
    waves = Wave.parse_all([1, ["web-1", "web-2"], "100%"], spread)
    assert [wave.spread for wave in waves] == ["zone" if spread else None, None, None]
