"""One simulated node, without Consul: when it runs, and what it reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.desired import DesiredState
from airflow_provider_chefconsul.rollout.report import NodeReport
from airflow_provider_chefconsul.simulator.fault import Kind
from airflow_provider_chefconsul.simulator.node import NodeRun, SimulatedNode
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from tests.factory import make_assignment, make_canary, make_desired, make_report

KEY = "chefconsul/demo/web/nodes/web-1"


class Recorder:
    """Surroundings that keep what the node does."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.moves: list[str] = []
        self.runs: list[NodeRun] = []

    def report(self, node: str, text: str) -> None:
        """Keep the report."""
        self.reports.append(text)

    def appear(self, node: str, *, is_new: bool) -> None:
        """Keep the move."""
        self.moves.append("joins" if is_new else "returns")

    def vanish(self, node: str) -> None:
        """Keep the move."""
        self.moves.append("goes absent")

    def leave(self, node: str) -> None:
        """Keep the move."""
        self.moves.append("leaves")

    def note(self, run: NodeRun) -> None:
        """Keep the run."""
        self.runs.append(run)

    @property
    def said(self) -> list[tuple[int | None, str]]:
        """Generation and status of each report."""
        read = [NodeReport.from_json(KEY, text) for text in self.reports]
        return [(report.generation, str(report.status)) for report in read]

    @property
    def before(self) -> list[str | None]:
        """What each report says of the run before."""
        read = [NodeReport.from_json(KEY, text) for text in self.reports]
        return [report.previous_status and str(report.previous_status) for report in read]

    @property
    def endings(self) -> list[str]:
        """What became of the runs."""
        return [str(run.ending) for run in self.runs]


class Bench:
    """A node with its recorder."""

    def __init__(self, *faults: str, reported: Any = None) -> None:
        self.recorder = Recorder()
        self.tasks: list[asyncio.Task[None]] = []
        plan = plan_fleet({"web": 1}, faults, seconds=0).nodes["web-1"]
        self.node = SimulatedNode(plan, self.recorder, self._start, reported)

    def _start(self, work: Any) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def see(self, desired: DesiredState | MalformedDocument | None) -> None:
        """What the watch delivers now."""
        self.node.see(desired, asyncio.get_running_loop().time())

    async def settle(self) -> None:
        """Until no run is under way."""
        while running := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(running)

    async def begin(self) -> None:
        """Until the run has reported that it runs."""
        await self.until(lambda: bool(self.recorder.reports))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Until what the node does has made it so."""
        while not is_so():  # noqa: ASYNC110 - few turns of the loop are all it takes
            await asyncio.sleep(0)


async def test_run_reports_running_then_its_outcome():
    """Both with the generation and state that were read."""
    bench = Bench()
    bench.see(make_desired(7))
    await bench.settle()
    assert bench.recorder.said == [(7, "running"), (7, "succeeded")]
    first, second = (json.loads(text) for text in bench.recorder.reports)
    assert first["run_id"] == second["run_id"]
    assert (second["state"], second["node"], second["tier"]) == ("converged", "web-1", "web")
    assert first["finished_at"] is None
    assert second["finished_at"]
    assert first["node_id"] == second["node_id"] == bench.node.plan.node_id


async def test_what_has_succeeded_is_not_run_again():
    """Not when the document changes around it, nor when it was reported before the fleet began."""
    bench = Bench(reported=make_report(generation=7))
    bench.see(make_desired(7))
    bench.see(make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-2",))))
    assert not bench.tasks
    bench.see(make_desired(8))
    await bench.settle()
    assert bench.recorder.said == [(8, "running"), (8, "succeeded")]


async def test_reports_are_about_one_assignment_and_one_machine():
    """A generation that was given twice is run again, and so is what an earlier machine of its name has reported."""
    bench = Bench(reported=make_report(generation=7, id="a1"))
    bench.see(make_desired(7, stable=make_assignment(7, id="a1")))
    assert not bench.tasks
    bench.see(make_desired(7, stable=make_assignment(7, id="b2")))
    await bench.settle()
    assert [NodeReport.from_json(KEY, text).id for text in bench.recorder.reports] == ["b2", "b2"]
    assert bench.recorder.before == [None, None]
    bench = Bench(reported=make_report(generation=7, node_id="another"))
    bench.see(make_desired(7))
    await bench.settle()
    assert (bench.recorder.said, bench.recorder.before) == ([(7, "running"), (7, "succeeded")], [None, None])


async def test_reports_say_what_the_run_before_came_to():
    """On the same assignment; a malformed report says nothing to the node either."""
    canary = make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-2",)))
    for fault, expected in (("fails", "failed"), ("reports malformed", None)):
        bench = Bench(f"web-1 {fault}")
        for desired in (make_desired(7), canary):
            bench.see(desired)
            await bench.settle()
        last = [text for text in bench.recorder.reports if text.endswith("}")][-1]
        assert NodeReport.from_json(KEY, last).previous_status == expected


async def test_canary_runs_its_own_assignment():
    """It reports the canary's generation."""
    bench = Bench(reported=make_report(generation=7))
    bench.see(make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-1",))))
    await bench.settle()
    assert bench.recorder.said == [(8, "running"), (8, "succeeded")]


async def test_changes_in_mid_run_make_one_more_run():
    """The run keeps the generation that it read; the next one reads the newest."""
    bench = Bench()
    bench.see(make_desired(7))
    await bench.begin()
    bench.see(make_desired(8))
    bench.see(make_desired(9))
    await bench.settle()
    assert bench.recorder.said == [(7, "running"), (7, "succeeded"), (9, "running"), (9, "succeeded")]


async def test_failure_is_reported_and_tried_again_at_the_next_change():
    """A watch does not fire again by itself."""
    bench = Bench("web-1 fails")
    bench.see(make_desired(7))
    await bench.settle()
    assert bench.recorder.said == [(7, "running"), (7, "failed")]
    report = NodeReport.from_json(KEY, bench.recorder.reports[-1])
    assert str(report.error) == "SimulatedFailure: the run was told to fail (web-1 fails) in simulated[failure]"
    bench.see(make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-2",))))
    await bench.settle()
    assert bench.recorder.said[2:] == [(7, "running"), (7, "failed")]


async def test_fault_with_a_value_spares_the_way_back():
    """It fails with one release, and succeeds with the one before."""
    bench = Bench("web-1 fails with release=2.6.0")
    for desired in (
        make_desired(7),
        make_desired(8, stable=make_assignment(8, values={"release": "2.6.0"})),
        make_desired(9),
    ):
        bench.see(desired)
        await bench.settle()
    assert bench.recorder.endings == ["running", "succeeded", "running", "failed", "running", "succeeded"]


async def test_malformed_report_cannot_be_read():
    """The run itself went well."""
    bench = Bench("web-1 reports malformed")
    bench.see(make_desired(7))
    await bench.settle()
    assert bench.recorder.endings == ["running", "malformed"]
    with pytest.raises(MalformedDocument):
        NodeReport.from_json(KEY, bench.recorder.reports[-1])


async def test_unreadable_desired_state_is_reported_as_a_failure_without_a_generation():
    """So the orchestrator learns why there was no run."""
    bench = Bench()
    bench.see(MalformedDocument("demo/web/desired", "is not JSON"))
    await bench.settle()
    assert bench.recorder.said == [(None, "failed")]
    assert "is not JSON" in bench.recorder.reports[0]


async def test_absence_cuts_a_run_off_and_the_return_begins_it_anew():
    """As a power cut does."""
    bench = Bench("web-1 goes absent at 9m", "web-1 returns at 10m")
    bench.see(make_desired(7))
    await bench.begin()
    bench.node.meet(Kind.ABSENT)
    await bench.settle()
    assert (bench.recorder.endings, bench.recorder.moves) == (["running", "cut off"], ["goes absent"])
    bench.see(make_desired(8))
    assert all(task.done() for task in bench.tasks)
    bench.node.meet(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.moves == ["goes absent", "returns"]
    assert bench.recorder.said == [(7, "running"), (8, "running"), (8, "succeeded")]
    assert bench.recorder.before == [None, None, None]


async def test_run_after_one_that_was_cut_off_says_that_it_never_ended():
    """Its report stood at running."""
    bench = Bench()
    bench.see(make_desired(7))
    await bench.begin()
    bench.node.meet(Kind.ABSENT)
    bench.node.meet(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.before == [None, "running", "running"]


async def test_node_that_dies_after_converging_has_reported_it():
    """Its report stands, its agent does not; back again it has nothing to do."""
    bench = Bench("web-1 dies after converging", "web-1 returns at 9m")
    bench.see(make_desired(7))
    bench.see(make_desired(7))
    await bench.settle()
    assert (bench.recorder.said, bench.recorder.moves) == ([(7, "running"), (7, "succeeded")], ["goes absent"])
    assert bench.recorder.endings == ["running", "succeeded"]
    bench.node.meet(Kind.RETURNS)
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
    bench.node.meet(Kind.LEAVES)
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
    bench.node.meet(Kind.ABSENT)
    bench.node.meet(Kind.RETURNS)
    await bench.settle()
    assert bench.recorder.said == [(7, "running"), (8, "running"), (8, "succeeded")]


@pytest.mark.parametrize("kinds", [[Kind.RETURNS], [Kind.ABSENT], [Kind.RETURNS, Kind.ABSENT]])
async def test_node_that_has_not_joined_is_neither_absent_nor_back(kinds):
    """It has no place in the catalog yet, and does nothing."""
    bench = Bench("web-1 joins at 10m")
    bench.see(make_desired(7))
    for kind in kinds:
        bench.node.meet(kind)
    assert (bench.recorder.moves, bench.tasks) == ([], [])
    bench.node.meet(Kind.JOINS)
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
        bench.node.meet(Kind.RETURNS)
        await bench.settle()
    assert bench.recorder.moves == ["goes absent", "returns"] * 2


async def test_node_without_a_desired_state_runs_nothing():
    """As after its key was deleted, also when the node comes back: there is nothing that it could read."""
    bench = Bench("web-1 goes absent at 8m", "web-1 returns at 9m")
    bench.node.meet(Kind.ABSENT)
    bench.see(make_desired(7))
    bench.see(None)
    bench.node.meet(Kind.RETURNS)
    assert not bench.tasks
