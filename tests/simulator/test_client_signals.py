"""Signals to a simulated run: they end it, or it finishes first, as Chef's does."""

from __future__ import annotations

import signal

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import Node, finish

LAST_REPORT = 5  # what is desired, who the agent is, what was reported last, that it runs, how it ended


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
    """A run that is interrupted exits with 2 and reports so: it is no failure of what it was to bring."""
    node.desire(7)
    process = node.start_until("reports running", *arguments)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 2
    assert node.reported("status", "generation", "error") == ["interrupted", 7, None]
    assert node.reported("finished_at") != [None]


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
        if len(gate.requests) == LAST_REPORT:
            node.processes[-1].send_signal(signal.SIGINT)

    node.desire(7)
    gate.on_request = interrupt_at_the_last_report
    assert node.run("--consul", gate.url)[0] == 0
    assert len(gate.requests) == LAST_REPORT
    assert node.reported("status") == ["succeeded"]


def test_sigint_after_a_failure_does_not_hide_it(node: Node) -> None:
    """The run that comes next decides, and until then the failure stands; then it is no more than what was before."""
    node.desire(7)
    node.run("--fail")
    process = node.start_until("reports running", "--hang")
    process.send_signal(signal.SIGINT)
    finish(process)
    assert node.reported("status", "previous_status") == ["interrupted", "failed"]
    node.run()
    assert node.reported("status", "previous_status") == ["succeeded", "failed"]
