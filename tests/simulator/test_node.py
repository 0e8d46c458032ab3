"""One simulated node, without Consul: when it runs, and what it reports."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.simulator.bench import KEY, Bench
from tests.support.factory import make_assignment, make_canary, make_desired, make_report


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
    bench.see(Unreadable("demo/web/desired", "is not JSON"))
    await bench.settle()
    assert bench.recorder.said == [(None, "failed")]
    assert "is not JSON" in bench.recorder.reports[0]
