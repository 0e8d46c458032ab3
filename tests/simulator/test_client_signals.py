"""Signals to a simulated run: they end it, or it finishes first, as Chef's does."""

from __future__ import annotations

import signal

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import Node, finish


def test_sigterm_before_the_read(node: Node) -> None:
    """A client that is terminated while it waits for the run lock exits with 3 and reports nothing."""
    node.desire(7)
    node.start_until("hangs", "--hang")
    before = node.report()
    second = node.start_until("waits for the run lock")
    second.terminate()
    assert finish(second)[0] == 3
    assert node.report() == before


def test_sigterm_while_consul_does_not_answer(node: Node, gate: Gate) -> None:
    """A client that is terminated while it tries to reach Consul exits with 3."""
    gate.close()
    process = node.start_until("tries again", "--consul", gate.url, "--patience", "600")
    process.terminate()
    assert finish(process)[0] == 3


@pytest.mark.parametrize(("arguments", "code", "status"), [([], 0, "succeeded"), (["--fail"], 1, "failed")])
def test_sigterm_during_the_run(node: Node, arguments: list[str], code: int, status: str) -> None:
    """A run that is terminated finishes first, as Chef's does, and its exit code is that of the run."""
    node.desire(7)
    process = node.start_until("works", "--seconds", "2", *arguments)
    process.terminate()
    ended, output = finish(process)
    assert (ended, "finishes the run first" in output) == (code, True)
    assert node.reported("status", "generation") == [status, 7]


@pytest.mark.parametrize("arguments", [["--seconds", "600"], ["--hang"]], ids=str)
def test_sigint_during_the_run(node: Node, arguments: list[str]) -> None:
    """A run that is interrupted exits with 2 and reports that it failed."""
    node.desire(7)
    process = node.start_until("reports running", *arguments)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 2
    assert node.reported("status", "generation") == ["failed", 7]
    assert node.reported("error")[0]["class"] == "SystemExit"


def test_sigint_in_a_background_job(node: Node) -> None:
    """A client that a shell has started with SIGINT ignored heeds it all the same."""
    node.desire(7)
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    process = node.start_until("reports running", "--hang", starter=shell)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 2


def test_sigint_before_the_run(node: Node) -> None:
    """A client that is interrupted while it waits for the run lock leaves the other run's report alone."""
    node.desire(7)
    node.start_until("hangs", "--hang")
    before = node.report()
    second = node.start_until("waits for the run lock")
    second.send_signal(signal.SIGINT)
    assert finish(second)[0] == 2
    assert node.report() == before


def test_hang(node: Node) -> None:
    """A hanging run outlasts SIGTERM, and its report says running after it was killed."""
    node.desire(7)
    process = node.start_until("hangs", "--hang")
    process.terminate()
    assert process.stdout is not None
    assert "finishes the run first" in process.stdout.readline()
    assert process.poll() is None
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    assert node.reported("status", "generation") == ["running", 7]


def test_sigint_during_the_last_report(node: Node, gate: Gate) -> None:
    """An interrupt that comes when the outcome is being reported changes neither the report nor the exit code."""

    def interrupt_at_the_last_report() -> None:
        if len(gate.requests) == 3:
            node.processes[-1].send_signal(signal.SIGINT)

    node.desire(7)
    gate.on_request = interrupt_at_the_last_report
    assert node.run("--consul", gate.url)[0] == 0
    assert len(gate.requests) == 3
    assert node.reported("status") == ["succeeded"]
