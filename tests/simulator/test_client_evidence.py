"""What a simulated run says of its assignment, its machine and the run before, and what it makes of what stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import Node, finish


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
