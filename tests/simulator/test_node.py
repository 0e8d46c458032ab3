"""One simulated node, without Consul: when it runs, and what it reports."""

from __future__ import annotations

import asyncio
import json
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

    def note(self, run: NodeRun) -> None:
        """Keep the run."""
        self.runs.append(run)

    @property
    def said(self) -> list[tuple[int | None, str]]:
        """Generation and status of each report."""
        read = [NodeReport.from_json(KEY, text) for text in self.reports]
        return [(report.generation, str(report.status)) for report in read]

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
        while not self.recorder.reports:  # noqa: ASYNC110 - one turn of the loop is all it takes
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


async def test_what_has_succeeded_is_not_run_again():
    """Not when the document changes around it, nor when it was reported before the fleet began."""
    bench = Bench(reported=make_report(generation=7))
    bench.see(make_desired(7))
    bench.see(make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-2",))))
    assert not bench.tasks
    bench.see(make_desired(8))
    await bench.settle()
    assert bench.recorder.said == [(8, "running"), (8, "succeeded")]


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
