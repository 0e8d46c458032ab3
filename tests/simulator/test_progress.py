"""What a fleet tells of itself."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from airflow_provider_chefconsul.simulator.progress import Progress
from airflow_provider_chefconsul.simulator.surroundings import NodeRun, RunEnding
from tests.support.factory import make_assignment, make_desired


def run(node: str, ending: RunEnding, *faults: str) -> NodeRun:
    """A run of a web node."""
    plan = plan_fleet({"web": 3}, faults).nodes[node].run(make_assignment())
    return NodeRun(node, "web", make_assignment(), ending, plan.fault)


@pytest.fixture
def lines() -> list[str]:
    """What was printed."""
    return []


@pytest.fixture
def progress(lines) -> Progress:
    """Prints into the lines."""
    return Progress("demo", lines.append)


def test_introduction_names_nodes_and_faults(progress, lines):
    """Of many faults, the first."""
    progress.introduce(plan_fleet({"web": 30, "db": 1}, ["web-* fails"]), "http://127.0.0.1:8500")
    assert lines[0] == "demo: simulated nodes (web=30, db=1) are in the catalog of http://127.0.0.1:8500"
    assert lines[1] == "web-1: web-* fails"
    assert lines[-1] == "… and 10 more faults"
    assert len(lines) == 22


def test_desired_state_is_reported(progress, lines):
    """Whatever Consul holds stays one printable line."""
    progress.desire("web", make_desired(stable=make_assignment(values={"release": "2\n\x1b[2J"})))
    progress.desire("web", Unreadable("demo/web/desired", "is not JSON"))
    progress.desire("web", None)
    assert lines[0].startswith("demo/web: assigned generation 7, state converged, release=2")
    assert lines[0].isprintable()
    assert lines[1:] == ["demo/web: demo/web/desired: is not JSON", "demo/web: no desired state"]


@pytest.mark.parametrize("number_hanging", [0, 1])
def test_end_of_all_runs_is_reported_once(progress, lines, number_hanging):
    """A run that hangs is not waited for, and counted."""
    if number_hanging:
        progress.note(run("web-3", RunEnding.RUNNING, "web-3 hangs"))
    for node in ("web-1", "web-2"):
        progress.note(run(node, RunEnding.RUNNING))
    progress.note(run("web-1", RunEnding.SUCCEEDED))
    assert lines == ["web-3 hangs (web-3 hangs)"] * number_hanging
    progress.note(run("web-2", RunEnding.FAILED, "web-2 fails"))
    assert lines[-2] == "web-2 fails (web-2 fails)"
    assert lines[-1].startswith("demo/web: runs ended: 1 succeeded, 1 failed, ")
    assert ("1 still hanging, " in lines[-1]) is bool(number_hanging)


@pytest.mark.parametrize(
    ("fault", "ending", "line"),
    [
        (
            "web-1 dies after converging",
            RunEnding.SUCCEEDED,
            "web-1 dies after converging (web-1 dies after converging)",
        ),
        ("web-1 reboots 5s", RunEnding.REBOOTING, "web-1 reboots (web-1 reboots 5s)"),
    ],
)
def test_end_of_a_node_with_its_run_is_reported(progress, lines, fault, ending, line):
    """With the fault that was declared."""
    progress.note(run("web-1", RunEnding.RUNNING, fault))
    progress.note(run("web-1", ending, fault))
    assert lines[0] == line


def test_runs_that_are_cut_off_say_nothing(progress, lines):
    """That the node went absent has been printed; the end of the fleet is no news of a tier."""
    progress.note(run("web-1", RunEnding.RUNNING))
    progress.note(run("web-1", RunEnding.CUT_OFF))
    progress.note(run("web-2", RunEnding.RUNNING, "web-2 hangs"))
    progress.note(run("web-2", RunEnding.CUT_OFF, "web-2 hangs"))
    assert lines == ["web-2 hangs (web-2 hangs)"]
