"""Commands on many hosts, against a real sshd that listens on several loopback addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_chefconsul.nudge.result import LONGEST_OUTPUT, CommandOutcome, NodeResult
from airflow_provider_chefconsul.nudge.ssh import run_over_ssh
from airflow_provider_chefconsul.nudge.target import Target
from tests.support.ssh_fixtures import DOWN, HOSTS, REFUSING, SSHServer, is_listening

Run = Callable[..., Awaitable[dict[str, NodeResult]]]


@pytest.fixture
def run(sshd: SSHServer) -> Run:
    """Run a command on hosts: all of them, or those in ``addresses``."""

    async def fan_out(
        command: str = "true", *, seconds: float = 30, addresses: dict[str, str] = HOSTS, **options: Any
    ) -> dict[str, NodeResult]:
        targets = {node: Target(address, command) for node, address in addresses.items()}
        options = {"connect": sshd.connect, **options}
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        results, run.cut_short = await run_over_ssh(targets, deadline=deadline, **options)
        return results

    run: Any = fan_out
    return run


def outcomes(results: dict[str, NodeResult]) -> dict[str, int | str]:
    """By node, the exit code or what became of it."""
    return {node: str(each.outcome) if each.exit_code is None else each.exit_code for node, each in results.items()}


async def test_each_host_gives_its_own_exit_code(run: Run, tmp_path: Path) -> None:
    """Success says nothing; what a failing command printed comes back, its errors too."""
    command = f"""
        set -- $SSH_CONNECTION; echo ran >>{tmp_path}/$3; echo "I am $3"; echo trouble >&2
        exit $(( ${{3##*.}} - 2 ))
    """
    results = await run(command)
    assert outcomes(results) == {"web-1": 0, "web-2": 1, "web-3": 2, "web-4": 3}
    assert results["web-1"].output == ""
    assert results["web-2"].output == "I am 127.0.0.3\ntrouble\n"
    assert [(tmp_path / address).read_text() for address in HOSTS.values()] == ["ran\n"] * len(HOSTS)
    assert run.cut_short == set()


async def test_only_the_end_of_the_output_is_kept(run: Run) -> None:
    """However much a command prints, its last bytes are kept."""
    results = await run("seq 300000; exit 1", addresses={"web-1": HOSTS["web-1"]})
    assert (len(results["web-1"].output), results["web-1"].output.split()[-1]) == (LONGEST_OUTPUT, "300000")


async def test_killed_command_has_a_negative_code(run: Run) -> None:
    """As in Python's subprocess, the number of the signal."""
    assert outcomes(await run("kill -9 $$", addresses={"web-1": HOSTS["web-1"]})) == {"web-1": -9}


async def test_hosts_that_cannot_be_reached_stop_nobody(run: Run, sshd: SSHServer) -> None:
    """Down, deaf, without an address, or refusing commands: each is unacknowledged and says why; the others run."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.8", sshd.port))
        deaf.listen()
        addresses = {
            "nowhere": "",
            "option": "-oProxyCommand=x",
            "down": DOWN,
            "deaf": "127.0.0.8",
            "refusing": REFUSING,
            "web-1": HOSTS["web-1"],
        }
        results = await run(addresses=addresses, connect_timeout=timedelta(seconds=1))
    assert outcomes(results) == {**dict.fromkeys(addresses, "unacknowledged"), "web-1": 0}
    reasons = {node: result.reason for node, result in results.items()}
    assert reasons["nowhere"] == "its address '' is neither a host name nor an IP address"
    assert reasons["option"] == "its address '-oProxyCommand=x' is neither a host name nor an IP address"
    assert "Connect call failed" in reasons["down"]
    assert reasons["deaf"] == "127.0.0.8: no connection within 1 s"
    assert reasons["refusing"].startswith("127.0.0.7 refused to start the command")
    assert run.cut_short == set()


async def test_untrusted_host_gets_no_command(run: Run, sshd: SSHServer, tmp_path: Path) -> None:
    """Where the host key is another one than is known, or the key does not open, nothing is run."""
    results = await run(f"touch {tmp_path}/ran", connect=lambda address: sshd.connect(address, known_hosts=b""))
    assert outcomes(results) == dict.fromkeys(HOSTS, "unacknowledged")
    assert results["web-1"].reason == "127.0.0.2: Host key is not trusted for host 127.0.0.2"
    assert not (tmp_path / "ran").exists()


async def test_deadline_gives_a_status_to_each_host(run: Run, tmp_path: Path) -> None:
    """A running command is silent, a host not yet started is unacknowledged; the time is not exceeded."""
    command = f"for i in $(seq 600); do [ -e {tmp_path}/end ] && exit; sleep 0.1; done; touch {tmp_path}/ended"
    results = await run(command, seconds=4, max_parallel=3)
    assert not (tmp_path / "ended").exists(), "the deadline waited for the commands"
    (tmp_path / "end").touch()
    assert [(each.outcome, each.reason) for each in results.values()] == [
        *[(CommandOutcome.SILENT, "the command had not ended by the deadline")] * 3,
        (CommandOutcome.UNACKNOWLEDGED, "its turn had not come by the deadline"),
    ]
    assert run.cut_short == set(HOSTS)


async def test_past_deadline_runs_nothing(run: Run, tmp_path: Path) -> None:
    """A triggerer that comes back too late starts nothing."""
    assert outcomes(await run(f"touch {tmp_path}/ran", seconds=-1)) == dict.fromkeys(HOSTS, "unacknowledged")
    assert not (tmp_path / "ran").exists()


async def test_broken_connection_is_silent(run: Run) -> None:
    """The command began, and nobody knows how it ended; that does not change with time."""
    command = "set -- $SSH_CONNECTION; [ $3 = 127.0.0.3 ] && kill -9 $PPID; exit 0"
    assert outcomes(await run(command)) == {"web-1": 0, "web-2": "silent", "web-3": 0, "web-4": 0}
    assert run.cut_short == set()


@pytest.mark.parametrize("max_parallel", [1, 3])
async def test_never_more_than_max_parallel(run: Run, tmp_path: Path, max_parallel: int) -> None:
    """Each command writes when it begins and ends; the first ones wait for each other, so that many do run at once."""
    log = tmp_path / "log"
    wait = f"until [ $(grep -c + {log}) -ge {max_parallel} ]; do sleep 0.1; done; sleep 0.1"
    await run(f"echo + >>{log}; {wait}; echo - >>{log}", max_parallel=max_parallel)
    steps = log.read_text().split()
    assert len(steps) == 2 * len(HOSTS)
    running = [steps[:end].count("+") - steps[:end].count("-") for end in range(len(steps) + 1)]
    assert (max(running), running[-1]) == (max_parallel, 0)


async def test_other_trouble_ends_all(run: Run) -> None:
    """What is no host's trouble is raised as it is, and nothing goes on behind."""

    async def connect(address: str) -> Any:
        if address == HOSTS["web-2"]:
            raise LookupError("no such connection")
        await asyncio.sleep(60)

    before = len(asyncio.all_tasks())
    with pytest.raises(LookupError, match="no such connection"):
        await run(connect=connect)
    assert len(asyncio.all_tasks()) == before


async def test_progress_is_logged_in_few_lines(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Hosts by status, at most once a second; asyncssh's own lines are suppressed only meanwhile."""
    lines: list[str] = []
    with caplog.at_level(logging.INFO):
        await run("exit 1", on_progress=lines.append)
    assert lines[-1] == "of 4 nodes 4 ended (4 with an error)"
    assert len(lines) <= 4
    assert [record for record in caplog.records if record.name == "asyncssh"] == []
    logging.getLogger("asyncssh").warning("this is for somebody else")
    assert caplog.messages[-1] == "this is for somebody else"


async def test_others_keep_asyncsshs_lines(run: Run, sshd: SSHServer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection in the same process that is not ours logs as it would without us."""
    await run()
    with caplog.at_level(logging.INFO):
        async with sshd.connect(HOSTS["web-1"]):
            pass
    assert any("Opening SSH connection" in message for message in caplog.messages)


async def test_no_targets(run: Run) -> None:
    """Nobody to run anything on is no trouble here."""
    assert await run(addresses={}) == {}


@pytest.mark.parametrize(
    ("address", "is_usable"),
    [("web-1.example.org", True), ("web_1", True), ("10.0.0.1", True), ("fd00::1", True), ("a" * 64, False)]
    + [(address, False) for address in ("", "a..b", "-oX=y z", "web 1", "a/b", "user@host", "a\nb")],
)
def test_usable_addresses(address: str, is_usable: bool) -> None:
    """What Consul has as an address may be anything that somebody registered."""
    assert Target(address, "true").has_usable_address is is_usable


def test_nobody_listens_where_a_node_is_down(sshd: SSHServer) -> None:
    """Else the tests of it would show nothing."""
    assert not is_listening(DOWN, sshd.port)
