"""Slots of a tier, taken by a real chef-client."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from tests.cookbooks.trial import PATIENCE_OF_TESTS, Trial, finish, kill
from tests.support.factory import make_assignment, make_desired


def desire(trial: Trial, generation: int = 7, **pace: Any) -> None:
    """Write the tier's desired state with what the assignment says about its pace."""
    desired = json.loads(make_desired(generation, stable=make_assignment(generation)).to_json())
    desired["stable"] |= pace
    trial.keys["demo/web/desired"] = json.dumps(desired)


def read(trial: Trial, key: str) -> dict[str, Any] | None:
    """A document of tier web; None if there is none."""
    return json.loads(trial.keys[f"demo/web/{key}"]) if f"demo/web/{key}" in trial.keys else None


def wait_for_status(trial: Trial, node: str, status: str) -> dict[str, Any]:
    """The node's report once it has this status."""
    deadline = time.monotonic() + PATIENCE_OF_TESTS
    while (report := read(trial, f"nodes/{node}")) is None or report["status"] != status:
        assert time.monotonic() < deadline, report
        time.sleep(0.05)
    return report


def test_second_node_waits_for_the_slot(trial, gate):
    """It compiles nothing before the first one's outcome is reported, and both give their tickets back."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    desire(trial, max_parallel=1)
    first = trial.node("web-1").start()
    gate.wait()
    second = trial.node("web-2").start()
    waiting = wait_for_status(trial, "web-2", "waiting")
    assert waiting["waits_for"] == {"slot": ["web-1"], "of": 1, "ahead": 1}
    assert (waiting["generation"], waiting["updated_resources"]) == (7, 0)
    assert read(trial, "_slots/web-1")["held_since"] is not None
    assert read(trial, "_slots/web-2")["held_since"] is None
    gate.open()
    gate.wait()
    assert wait_for_status(trial, "web-2", "running")
    assert read(trial, "nodes/web-1")["status"] == "succeeded"
    gate.open()
    assert [finish(run).code for run in (first, second)] == [0, 0]
    assert "waits_for" not in read(trial, "nodes/web-2")
    assert read(trial, "_slots/web-1") is read(trial, "_slots/web-2") is None


def test_failed_release_stops_at_its_slots(trial):
    """A failed node keeps its slot, so nobody else begins; its next success lets the others on."""
    trial.recipe("desired_state('web')\nraise 'bad release' unless desired_state('web').generation == 8")
    desire(trial, 7, max_parallel=1)
    broken = trial.node("web-1")
    assert broken.converge().code == 1
    assert read(trial, "_slots/web-1")["failed"] is True
    other = trial.node("web-2").start()
    assert wait_for_status(trial, "web-2", "waiting")["waits_for"]["slot"] == ["web-1"]
    desire(trial, 8, max_parallel=1)
    assert broken.converge().code == 0
    assert finish(other).code == 0
    assert read(trial, "nodes/web-2")["generation"] == 8
    assert read(trial, "_slots/web-1") is read(trial, "_slots/web-2") is None


def test_killed_holder_is_waited_for_and_continues_itself(trial, gate):
    """A node that died while it held a slot keeps it; its next run goes on with it, ahead of those that wait."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    desire(trial, max_parallel=1)
    node = trial.node("web-1")
    killed = node.start()
    gate.wait()
    kill(killed)
    held = read(trial, "_slots/web-1")
    waiting = trial.node("web-2").start()
    wait_for_status(trial, "web-2", "waiting")
    again = node.start()
    gate.wait()
    assert read(trial, "_slots/web-1")["held_since"] == held["held_since"]
    gate.open()
    gate.wait()
    gate.open()
    assert [finish(run).code for run in (again, waiting)] == [0, 0]


def test_run_that_waits_ends_at_once_on_sigterm(trial, gate):
    """Chef would finish its run first; but nothing has begun."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    desire(trial, max_parallel=1)
    trial.node("web-1").start()
    gate.wait()
    run = trial.node("web-2").start()
    wait_for_status(trial, "web-2", "waiting")
    os.killpg(run.pid, signal.SIGTERM)
    assert finish(run).code != 0
    report = read(trial, "nodes/web-2")
    assert (report["status"], report["generation"]) == ("interrupted", None)
    assert read(trial, "_slots/web-2")["held_since"] is None


def test_why_run_takes_no_slot(trial):
    """It changes nothing, in Consul either."""
    trial.recipe("desired_state('web')")
    desire(trial, max_parallel=1)
    assert trial.node().converge("--why-run").code == 0
    assert read(trial, "_slots/web-1") is None


def test_mended_drift_is_counted(trial):
    """Runs that find the node converged report what they mended that day."""
    managed = trial.directory / "managed"
    trial.recipe(f"desired_state('web')\nfile('{managed}') {{ content 'as desired' }}")
    desire(trial)
    node = trial.node()
    assert node.converge().code == 0
    assert "mended" not in read(trial, "nodes/web-1")
    for _ in range(2):
        managed.write_text("by hand")
        assert node.converge().code == 0
    assert node.converge().code == 0
    mended = read(trial, "nodes/web-1")["mended"]
    assert (mended["runs"], mended["resources"]) == (2, 2)
    assert mended["on"] == read(trial, "nodes/web-1")["finished_at"][:10]
