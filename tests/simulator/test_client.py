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
    assert gate.requests == [
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


# --- Which assignment, which machine, which run before ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("desired", "reported", "is_needed"),
    [
        (None, None, False),
        (None, "a1", False),
        ("a1", None, False),
        ("a1", "a1", False),
        ("a1", "b2", True),
    ],
)
def test_report_counts_for_its_own_assignment(
    node: Node, desired: str | None, reported: str | None, is_needed: bool
) -> None:
    """A generation that was given twice has another id; where one side knows none, the generation decides."""
    node.desire(7, assignment_id=reported)
    node.run()
    assert node.reported("id") == [reported]
    node.desire(7, assignment_id=desired)
    code, output = node.run("--if-needed")
    assert (code, "nothing to do" in output) == (0, not is_needed)
    assert node.reported("id", "previous_status") == [desired if is_needed else reported, None]


@pytest.mark.parametrize("last", ["own", "another", None])
def test_machine_that_was_rebuilt_runs_anew(node: Node, last: str | None) -> None:
    """What an earlier machine of its name reported is no report of its own, nor the run before."""
    config = json.loads(node.ask("GET", "agent/self")[1])["Config"]
    name, node_id = config["NodeName"], config["NodeID"]
    node.desire(7)
    node.run("--node", name)
    report = node.report(name)
    assert report is not None
    assert report["node_id"] == node_id
    written_by = {"own": node_id, "another": "00000000-0000-4000-8000-000000000000", None: None}[last]
    node.put(f"{node.root}/demo/web/nodes/{name}", json.dumps(report | {"node_id": written_by}))
    assert ("nothing to do" in node.run("--node", name, "--if-needed")[1]) == (last != "another")
    node.run("--node", name)
    report = node.report(name)
    assert report is not None
    assert (report["node_id"], report["previous_status"]) == (node_id, "succeeded")


def test_rebuilt_machine_has_no_run_before(node: Node) -> None:
    """While it runs for the first time, the success of its predecessor does not make it converged."""
    config = json.loads(node.ask("GET", "agent/self")[1])["Config"]
    key = f"{node.root}/demo/web/nodes/{config['NodeName']}"
    node.desire(7)
    node.run("--node", config["NodeName"])
    node.put(key, json.dumps((node.report(config["NodeName"]) or {}) | {"node_id": "another"}))
    node.run("--node", config["NodeName"])
    report = node.report(config["NodeName"])
    assert report is not None
    assert (report["status"], report["previous_status"]) == ("succeeded", None)


@pytest.mark.parametrize(
    "answer",
    [
        (403, b"Permission denied"),
        (500, b"No cluster leader"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"Config": null}'),
        (200, b'{"Config": {"NodeName": "web-1"}}'),
        (200, b'{"Config": {"NodeName": "web-1", "NodeID": 7}}'),
        (200, b'{"Config": {"NodeName": "another", "NodeID": "00000000-0000-4000-8000-000000000000"}}'),
    ],
    ids=str,
)
def test_run_does_without_the_id_of_its_machine(node: Node, gate: Gate, answer: tuple[int, bytes]) -> None:
    """As where the token may not read the agent, or the agent is not this node's."""
    node.desire(7)
    gate.by_path["/v1/agent/self"] = answer
    assert node.run("--consul", gate.url)[0] == 0
    assert node.reported("status", "node_id") == ["succeeded", None]


@pytest.mark.parametrize(
    ("before", "previous"),
    [
        ({"status": "succeeded"}, "succeeded"),
        ({"status": "failed"}, "failed"),
        ({"status": "running"}, "running"),
        ({"status": "running", "previous_status": "failed"}, "failed"),
        ({"status": "interrupted", "previous_status": "failed"}, "failed"),
        ({"status": "failed", "generation": 6}, None),
        ({"status": "failed", "id": "b2"}, None),
        ({"schema": 2}, None),
    ],
    ids=str,
)
def test_report_says_what_the_run_before_came_to(node: Node, before: dict[str, Any], previous: str | None) -> None:
    """On the same assignment, in its first report as in its last one; a failure outlasts runs that never ended."""
    node.desire(7, assignment_id="a1")
    node.run()
    node.put(node.report_key, json.dumps((node.report() or {}) | before))
    process = node.start_until("works", "--seconds", "1")
    assert node.reported("status", "previous_status") == ["running", previous]
    finish(process)
    assert node.reported("status", "previous_status") == ["succeeded", previous]


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
