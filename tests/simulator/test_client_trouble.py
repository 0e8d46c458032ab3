"""Trouble with Consul during a simulated run: away, without a leader, or no Consul at all."""

from __future__ import annotations

import threading

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import Node, finish


def test_unreachable(node: Node, gate: Gate) -> None:
    """A Consul that stays away fails the run when patience ends, with a message that names the address."""
    gate.close()
    code, output = node.run("--consul", gate.url, "--patience", "0.3")
    assert code == 1
    assert f"ERROR: Consul at {gate.url} is unreachable: ConnectionRefusedError" in output
    assert node.report() is None


def test_consul_comes_back(node: Node, gate: Gate) -> None:
    """A Consul that comes back in time costs the run nothing but time."""
    node.desire(7)
    gate.close()
    process = node.start_until("tries again", "--consul", gate.url)
    gate.open()
    assert finish(process)[0] == 0
    assert node.reported("status") == ["succeeded"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_consul_without_a_leader(node: Node, gate: Gate, status: int) -> None:
    """An answer that may pass, such as that of a server without a leader, is asked for again."""
    node.desire(7)
    gate.answers += [(status, b"No cluster leader"), (status, b"rpc error making call: EOF")]
    code, output = node.run("--consul", gate.url)
    assert (code, "No cluster leader" in output) == (0, True)
    assert node.reported("status") == ["succeeded"]


def test_no_leader_to_the_end(node: Node, gate: Gate) -> None:
    """Consul's own words end the run's log when no leader is found in time."""
    node.desire(7)
    gate.answers += [(500, b"No cluster leader")] * 100
    code, output = node.run("--consul", gate.url, "--patience", "0.3")
    assert (code, "answered 500: No cluster leader" in output.splitlines()[-1]) == (1, True)


def test_no_answer(node: Node, gate: Gate) -> None:
    """A Consul that accepts a request and never answers fails the run like one that stays away."""
    released = threading.Event()
    gate.on_request = released.wait
    try:
        code, output = node.run("--consul", gate.url, "--patience", "0")
    finally:
        released.set()
    assert (code, "did not answer within" in output.splitlines()[-1]) == (1, True)


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--fail"], 1)], ids=str)
def test_consul_is_lost_during_the_run(node: Node, gate: Gate, arguments: list[str], code: int) -> None:
    """A run that cannot report its outcome says so, and its exit code stays that of the run."""
    node.desire(7)
    process = node.start_until("works", "--consul", gate.url, "--seconds", "2", *arguments)
    gate.close()
    ended, output = finish(process)
    assert ended == code
    assert "ERROR: could not report" in output.splitlines()[-1]
    assert node.reported("status") == ["running"]


def test_agent_that_does_not_say_who_it_is(node: Node, gate: Gate) -> None:
    """A run does not wait for it for long."""
    released = threading.Event()
    node.desire(7)
    gate.on_request = lambda: gate.lines[-1] == "GET /v1/agent/self" and released.wait()
    try:
        code, _ = node.run("--consul", gate.url)
    finally:
        released.set()
    assert (code, node.reported("status", "node_id")) == (0, ["succeeded", None])


def test_running_cannot_be_reported(node: Node, gate: Gate) -> None:
    """A run whose first report is lost goes on and reports its outcome."""
    node.desire(7)
    gate.put_answers.append((500, b"No cluster leader"))
    code, output = node.run("--consul", gate.url)
    assert (code, "ERROR: could not report running" in output) == (0, True)
    assert node.reported("status") == ["succeeded"]


@pytest.mark.parametrize("status", [200, 301, 404])
def test_not_consul(node: Node, gate: Gate, status: int) -> None:
    """What does not answer as Consul does is neither taken for a missing key nor for a document."""
    gate.answers.append((status, b'{"schema": 1}'))
    code, output = node.run("--consul", gate.url)
    assert (code, "not as Consul does" in output, "no such key" in output) == (1, True, False)
    assert len(gate.requests) == 1
