"""One simulated node, without Consul: how it goes absent, dies, reboots, leaves and comes back."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_chefconsul.simulator.fault import Kind
from tests.simulator.bench import Bench
from tests.support.factory import make_assignment, make_desired


async def test_absence_cuts_a_run_off_and_the_return_begins_it_anew():
    """As a power cut does."""
    bench = Bench("web-1 goes absent at 9m", "web-1 returns at 10m")
    bench.see(make_desired(7))
    await bench.begin()
    bench.node.undergo(Kind.ABSENT)
    await bench.settle()
    assert (bench.recorder.endings, bench.recorder.moves) == (["running", "cut off"], ["goes absent"])
    bench.see(make_desired(8))
    assert all(task.done() for task in bench.tasks)
    bench.node.undergo(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.moves == ["goes absent", "returns"]
    assert bench.recorder.said == [(7, "running"), (8, "running"), (8, "succeeded")]
    assert bench.recorder.before == [None, None, None]


async def test_run_after_one_that_was_cut_off_says_that_it_never_ended():
    """Its report stood at running."""
    bench = Bench()
    bench.see(make_desired(7))
    await bench.begin()
    bench.node.undergo(Kind.ABSENT)
    bench.node.undergo(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.before == [None, "running", "running"]


async def test_node_that_dies_after_converging_has_reported_it():
    """Its report stands, its agent does not, whatever else is desired meanwhile; back again it has nothing to do."""
    bench = Bench("web-1 dies after converging", "web-1 returns at 9m")
    bench.see(make_desired(7))
    await bench.begin()
    bench.see(make_desired(8))
    await bench.settle()
    bench.see(make_desired(7))
    assert (bench.recorder.said, bench.recorder.moves) == ([(7, "running"), (7, "succeeded")], ["goes absent"])
    assert bench.recorder.endings == ["running", "succeeded"]
    bench.node.undergo(Kind.RETURNS)
    assert bench.recorder.moves == ["goes absent", "returns"]
    assert all(task.done() for task in bench.tasks)


async def test_node_that_reboots_is_away_and_goes_on_when_it_is_back():
    """Once for each assignment; what became desired meanwhile is run then."""
    bench = Bench("web-1 reboots 50ms in converged")
    bench.see(make_desired(7))
    await bench.settle()
    expected = [(7, "running"), (7, "rebooting"), (7, "running"), (7, "succeeded")]
    assert (bench.recorder.said, bench.recorder.moves) == (expected, ["goes absent", "returns"])
    assert bench.recorder.endings == ["running", "rebooting", "running", "succeeded"]
    assert bench.recorder.before == [None, None, "rebooting", "rebooting"]
    bench.see(make_desired(8))
    await bench.until(lambda: bench.recorder.said[-1] == (8, "rebooting"))
    bench.see(make_desired(9, stable=make_assignment(9, state="off")))
    await bench.settle()
    assert bench.recorder.said[4:] == [(8, "running"), (8, "rebooting"), (9, "running"), (9, "succeeded")]


async def test_node_that_leaves_ends_its_run_and_is_no_member():
    """It may return, as what it was; a reboot does not bring it back."""
    bench = Bench("web-1 reboots 50ms in converged", "web-1 leaves in off", "web-1 returns in waiting")
    bench.see(make_desired(7))
    await bench.until(lambda: "goes absent" in bench.recorder.moves)
    bench.see(make_desired(8, stable=make_assignment(8, state="off")))
    await bench.settle()
    assert bench.recorder.moves == ["goes absent", "leaves"]
    assert (bench.node.is_member, bench.node.is_present) == (False, False)
    bench.see(make_desired(9, stable=make_assignment(9, state="waiting")))
    await bench.settle()
    assert bench.recorder.moves[2:] == ["joins"]
    assert bench.recorder.said[-1] == (9, "succeeded")


async def test_run_of_a_node_that_leaves_is_cut_off():
    """Its report says that it runs."""
    bench = Bench("web-1 leaves at 9m")
    bench.see(make_desired(7))
    await bench.begin()
    bench.node.undergo(Kind.LEAVES)
    await bench.settle()
    assert (bench.recorder.said, bench.recorder.endings) == ([(7, "running")], ["running", "cut off"])


async def test_return_ends_a_hanging_run():
    """Nothing else does: a later change waits for it."""
    bench = Bench("web-1 hangs in off")
    bench.see(make_desired(7, stable=make_assignment(7, state="off")))
    await bench.begin()
    bench.see(make_desired(8))
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.recorder.said == [(7, "running")]
    bench.node.undergo(Kind.ABSENT)
    bench.node.undergo(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.said == [(7, "running"), (8, "running"), (8, "succeeded")]


@pytest.mark.parametrize("kinds", [[Kind.RETURNS], [Kind.ABSENT], [Kind.RETURNS, Kind.ABSENT]])
async def test_node_that_has_not_joined_is_neither_absent_nor_back(kinds):
    """It has no place in the catalog yet, and does nothing."""
    bench = Bench("web-1 joins at 10m")
    bench.see(make_desired(7))
    for kind in kinds:
        bench.node.undergo(kind)
    assert (bench.recorder.moves, bench.tasks) == ([], [])
    bench.node.undergo(Kind.JOINS)
    await bench.settle()
    assert bench.recorder.moves == ["joins"]
    assert bench.recorder.said == [(7, "running"), (7, "succeeded")]


async def test_moments_come_with_the_state_that_they_name():
    """Once for each generation: a node that is back stays."""
    bench = Bench("web-1 goes absent in off", "web-1 returns in converged")
    bench.see(make_desired(7))
    await bench.settle()
    assert not bench.recorder.moves
    off = make_desired(8, stable=make_assignment(8, state="off"))
    bench.see(off)
    bench.see(off)
    assert bench.recorder.moves == ["goes absent"]
    bench.see(make_desired(9))
    await bench.settle()
    assert bench.recorder.moves == ["goes absent", "returns"]
    assert bench.recorder.said[-1] == (9, "succeeded")


async def test_moments_come_again_with_a_generation_that_is_given_twice():
    """As after a tier was deleted: another id is another assignment."""
    bench = Bench("web-1 goes absent in off", "web-1 returns in converged")
    for assignment_id in ("a1", "b2"):
        bench.see(make_desired(1, stable=make_assignment(1, state="off", id=assignment_id)))
        bench.node.undergo(Kind.RETURNS)
        await bench.settle()
    assert bench.recorder.moves == ["goes absent", "returns"] * 2


async def test_node_without_a_desired_state_runs_nothing():
    """As after its key was deleted, also when the node comes back: there is nothing that it could read."""
    bench = Bench("web-1 goes absent at 8m", "web-1 returns at 9m")
    bench.node.undergo(Kind.ABSENT)
    bench.see(make_desired(7))
    bench.see(None)
    bench.node.undergo(Kind.RETURNS)
    assert not bench.tasks
