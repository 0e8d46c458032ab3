"""A simulated run against a real Consul: what it reads, waits for and reports."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import ANNOUNCEMENT, PATIENCE_OF_TESTS, Node, finish

# --- The run ----------------------------------------------------------------------------------------------------------


def test_success(node: Node) -> None:
    """A run reports its assignment as succeeded and says at each step that it is no Chef."""
    node.desire(7)
    code, output = node.run()
    assert code == 0
    report = node.report()
    assert report is not None
    assert report.pop("run_id")
    assert report.pop("started_at") <= report.pop("finished_at")
    assert report == {
        "schema": 1,
        "node": "web-1",
        "tier": "web",
        "generation": 7,
        "state": "converged",
        "status": "succeeded",
        "updated_resources": 0,
        "source": "consul",
        "client": "simulated 0.1.0",
        "error": None,
        "id": None,
        "node_id": None,
        "previous_status": None,
    }
    assert all(line.startswith(ANNOUNCEMENT) for line in output.splitlines())


def test_running_is_reported_before_the_work(node: Node) -> None:
    """While it works, the run is reported as running under the id that its outcome will have."""
    node.desire(7)
    process = node.start_until("works", "--seconds", "2")
    running = node.reported("status", "generation", "state", "finished_at")
    run_id = node.reported("run_id", "started_at")
    assert finish(process)[0] == 0
    assert running == ["running", 7, "converged", None]
    assert node.reported("run_id", "started_at") == run_id
    assert node.reported("status") == ["succeeded"]


def test_fail(node: Node) -> None:
    """A run told to fail exits with 1 and reports why."""
    node.desire(7)
    code, output = node.run("--fail")
    assert (code, "ERROR: SimulatedFailure" in output) == (1, True)
    assert node.reported("status", "generation", "state") == ["failed", 7, "converged"]
    assert node.reported("error") == [
        {
            "class": "SimulatedFailure",
            "message": "the run was told to fail (--fail)",
            "resource": "simulated[failure]",
        }
    ]


def test_canary(node: Node) -> None:
    """A node of the canary reaches the canary's assignment, another node the stable one."""
    canary = {"generation": 8, "state": "waiting", "values": {}, "salt": "8", "threshold": 0, "nodes": ["web-2"]}
    node.desire(7, canary=canary)
    assert node.run()[0] == node.run("--node", "web-2")[0] == 0
    assert node.reported("generation", "state") == [7, "converged"]
    second = node.report("web-2")
    assert second is not None
    assert (second["node"], second["generation"], second["state"]) == ("web-2", 8, "waiting")


def test_compiled_generation_is_reported(node: Node) -> None:
    """A run that is overtaken by a newer desired state reports the generation that it compiled."""
    node.desire(7)
    process = node.start_until("works", "--seconds", "1")
    node.desire(8, "off")
    assert finish(process)[0] == 0
    assert node.reported("status", "generation", "state") == ["succeeded", 7, "converged"]


def test_desired_is_read_once(node: Node, gate: Gate) -> None:
    """A run reads its desired state once and writes its report twice; beside its agent it asks for nothing else."""
    node.desire(7)
    assert node.run("--consul", gate.url)[0] == 0
    assert gate.lines == [
        f"GET /v1/kv/{node.desired_key}?raw",
        "GET /v1/agent/self",
        f"GET /v1/kv/{node.report_key}?raw",
        f"PUT /v1/kv/{node.report_key}",
        f"PUT /v1/kv/{node.report_key}",
    ]


def test_proxies_are_not_used(node: Node) -> None:
    """Proxies of the environment are not for an agent on the same machine."""
    node.desire(7)
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    assert node.run(env=os.environ | proxies)[0] == 0


def test_reader_of_the_output_is_gone(node: Node) -> None:
    """A run whose reader is gone, as after the death of the agent that started it, ends and reports all the same."""
    node.desire(7)
    reader, writer = os.pipe()
    os.close(reader)
    process = node.start(stdout=writer, stderr=writer)
    os.close(writer)
    assert process.wait(PATIENCE_OF_TESTS) == 0
    assert node.reported("status") == ["succeeded"]


# --- The run lock -----------------------------------------------------------------------------------------------------


def test_second_run_waits_and_reads_what_is_newest_then(node: Node) -> None:
    """A second client waits for the first, even for one that is killed, and reads the state only after that."""
    node.desire(7)
    first = node.start_until("hangs", "--hang")
    second = node.start_until("waits for the run lock")
    node.desire(8)
    first.kill()
    assert finish(second)[0] == 0
    assert node.reported("status", "generation") == ["succeeded", 8]


def test_start_is_counted_from_the_lock(node: Node) -> None:
    """The start that a run reports is that of the run, not of its wait for another one."""
    node.desire(7)
    with node.held_run_lock():
        waiting = node.start_until("waits for the run lock")
        time.sleep(1.1)  # the report counts in seconds
        released_at = datetime.now(UTC)
    assert finish(waiting)[0] == 0
    assert datetime.fromisoformat(node.reported("started_at")[0]) >= released_at.replace(microsecond=0)


def test_nodes_do_not_wait_for_each_other(node: Node) -> None:
    """The run lock is the node's own: others on the same machine run at the same time."""
    node.desire(7)
    node.start_until("hangs", "--hang")
    assert node.run("--node", "web-2")[0] == 0


# --- If needed --------------------------------------------------------------------------------------------------------


def test_if_needed_skips_what_has_succeeded(node: Node) -> None:
    """A node that has reported its assignment as succeeded is left alone, and its report too."""
    node.desire(7)
    node.run()
    before = node.report()
    code, output = node.run("--if-needed", "--fail")
    assert (code, "nothing to do" in output) == (0, True)
    assert node.report() == before


def test_if_needed_asks_after_the_wait(node: Node, tmp_path: Path) -> None:
    """Whether a run is needed is decided after the run in progress has ended."""
    node.desire(7)
    with node.held_run_lock():
        waiting = node.start_until("waits for the run lock", "--if-needed", "--fail")
        assert node.run("--state-dir", str(tmp_path / "elsewhere"))[0] == 0
    code, output = finish(waiting)
    assert (code, "nothing to do" in output) == (0, True)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"status": "running"},
        {"generation": 6},
        {"state": "off"},
        {"generation": None, "state": None},
        {"schema": 2},
    ],
    ids=str,
)
def test_if_needed_runs_when_the_report_says_less(node: Node, change: dict[str, Any]) -> None:
    """A node runs unless it has reported this very assignment as succeeded."""
    node.desire(7)
    node.run()
    report = node.report()
    assert report is not None
    node.put(node.report_key, json.dumps(report | change))
    assert node.run("--if-needed")[0] == 0
    assert node.reported("schema", "status", "generation", "state") == [1, "succeeded", 7, "converged"]


def test_if_needed_runs_when_nothing_was_reported(node: Node) -> None:
    """A node that has never reported runs."""
    node.desire(7)
    assert node.run("--if-needed")[0] == 0
    assert node.reported("status") == ["succeeded"]


# --- What Consul holds ------------------------------------------------------------------------------------------------


def test_missing_key(node: Node) -> None:
    """Where nothing was ever desired a run fails, says so and reports nothing."""
    code, output = node.run()
    assert (code, f"{node.desired_key}: there is no such key" in output) == (1, True)
    assert node.report() is None


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", "MalformedDocument", "not JSON"),
        ("\x00\x01", "MalformedDocument", "not JSON"),
        ("[]", "MalformedDocument", "object"),
        ('{"schema": 1, "generation": -1}', "MalformedDocument", ""),
        ('{"schema": 2}', "UnknownSchema", "schema 2"),
    ],
)
def test_malformed(node: Node, text: str, kind: str, words: str) -> None:
    """A desired state that cannot be read fails the run, which reports that it has read no generation."""
    node.put(node.desired_key, text)
    code, output = node.run()
    assert (code, node.desired_key in output) == (1, True)
    assert node.reported("status", "generation", "state") == ["failed", None, None]
    error = node.reported("error")[0]
    assert error["class"] == kind
    assert node.desired_key in error["message"]
    assert words in error["message"]


# --- Start-up ---------------------------------------------------------------------------------------------------------


def test_imports_stay_light(node: Node) -> None:
    """A run loads neither Airflow nor any other library beyond the standard one, nor asyncio."""
    node.desire(7)
    process = node.start(env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    code, output = finish(process)
    loaded = {line.rpartition("|")[2].strip() for line in output.splitlines() if line.startswith("import time:")}
    top_level = {name.partition(".")[0] for name in loaded}
    assert code == 0
    assert "http" in top_level
    assert not top_level & {"airflow", "consul", "httpx", "requests", "pendulum", "tenacity", "asyncio", "yaml"}
