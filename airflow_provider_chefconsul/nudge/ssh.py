"""Running commands on many hosts over SSH, some at a time.

The caller says how to open a connection; :func:`open_connection` does it for a login, and checks host keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any

import asyncssh

from airflow_provider_chefconsul.nudge.login import Login
from airflow_provider_chefconsul.nudge.result import LONGEST_OUTPUT, CommandOutcome, NodeResult, summarize
from airflow_provider_chefconsul.nudge.target import Target

Connect = Callable[[str], Awaitable[asyncssh.SSHClientConnection]]

log = logging.getLogger(__name__)
CONNECT_TIMEOUT = timedelta(seconds=20)  # an sshd takes 10 s when the DNS in which it looks its client up is down
_KEEPALIVE = 30  # seconds; a firewall forgets a connection on which a long run prints nothing
_REPORT_EVERY = 1.0  # seconds
_CHUNK = 4096  # bytes
_is_running_here: ContextVar[bool] = ContextVar("_is_running_here", default=False)


class SshPhase(StrEnum):
    """How far a host is."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    RUNNING = "running"
    ENDED = "ended"


_CUT_SHORT = {
    SshPhase.QUEUED: (CommandOutcome.UNACKNOWLEDGED, "its turn had not come by the deadline"),
    SshPhase.CONNECTING: (CommandOutcome.UNACKNOWLEDGED, "it was not connected by the deadline"),
    SshPhase.RUNNING: (CommandOutcome.SILENT, "the command had not ended by the deadline"),
}


async def open_connection(login: Login, address: str) -> asyncssh.SSHClientConnection:
    """Connect to a host.

    :raises OSError, asyncssh.Error: the host cannot be reached, refuses the login, or has a key that is not trusted.
        An ``OSError`` with a file name is about a file that the login names.
    :raises ValueError: one of the login's keys is malformed.
    """
    options: dict[str, Any] = {"username": login.user, "password": login.password, "passphrase": login.passphrase}
    if login.private_key:
        options["client_keys"] = [asyncssh.import_private_key(login.private_key, login.passphrase)]
    elif login.key_file:
        options["client_keys"] = login.key_file
    if not login.is_host_key_checked:
        options["known_hosts"] = None
    elif login.host_key:
        options["known_hosts"] = ([_import_host_key(login.host_key)], [], [])
    elif login.known_hosts:
        options["known_hosts"] = login.known_hosts
    return await asyncssh.connect(address, login.port or 22, keepalive_interval=_KEEPALIVE, **options)


def _import_host_key(text: str) -> asyncssh.SSHKey:
    fields = text.split()[:2]  # a comment may follow
    return asyncssh.import_public_key(" ".join(fields if len(fields) > 1 else ["ssh-rsa", *fields]))


async def run_over_ssh(
    targets: Mapping[str, Target],
    connect: Connect,
    *,
    deadline: datetime,
    max_parallel: int | None = None,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    on_progress: Callable[[str], None] = log.info,
) -> tuple[dict[str, NodeResult], set[str]]:
    """Run each target's command once, and return when all have ended; one that fails does not stop the others.

    Commands that still run at the deadline lose their connection; whether that ends them is up to them.

    :param targets: by node, in the order in which they get their turn.
    :param connect: opens a connection to an address. An ``OSError`` or an ``asyncssh.Error`` fails that host; any
        other exception ends the whole call, and is raised.
    :param deadline: aware.
    :param max_parallel: how many hosts may be connected at the same time; None is all.
    :param on_progress: called with a line of text when hosts have made progress.
    :returns: results by node, and the nodes that were cut short by the deadline.
    """
    fan_out = _FanOut(targets, connect, max_parallel, connect_timeout, on_progress)
    try:
        with _quietly():
            async with asyncio.timeout((deadline - datetime.now(UTC)).total_seconds()), asyncio.TaskGroup() as group:
                for node in targets:
                    group.create_task(fan_out.run(node))
    except TimeoutError:
        on_progress(f"stopped waiting at the deadline: {fan_out.summary}")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group.exceptions[0].__cause__
    return {node: fan_out.result(node) for node in targets}, targets.keys() - fan_out.results.keys()


class _FanOut:
    """One call of :func:`run_over_ssh`."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        connect: Connect,
        max_parallel: int | None,
        connect_timeout: timedelta,
        on_progress: Callable[[str], None],
    ) -> None:
        self.results: dict[str, NodeResult] = {}
        self._targets = targets
        self._connect = connect
        self._slots = asyncio.Semaphore(max_parallel or max(1, len(targets)))  # first come, first served
        self._connect_timeout = connect_timeout.total_seconds()
        self._on_progress = on_progress
        self._phases = dict.fromkeys(targets, SshPhase.QUEUED)
        self._reported_at = float("-inf")

    @property
    def summary(self) -> str:
        """How many hosts are in each phase, in one line."""
        failed = sum(result.exit_code != 0 for result in self.results.values())
        return summarize(self._phases.values(), SshPhase, failed)

    def result(self, node: str) -> NodeResult:
        """What is known of a host so far."""
        if node in self.results:
            return self.results[node]
        outcome, reason = _CUT_SHORT[self._phases[node]]
        return NodeResult(node, outcome, reason=reason)

    async def run(self, node: str) -> None:
        """Run the host's command when its turn comes."""
        async with self._slots:
            self._enter(node, SshPhase.CONNECTING)
            self.results[node] = await self._run(node, self._targets[node])
            self._enter(node, SshPhase.ENDED)

    async def _run(self, node: str, target: Target) -> NodeResult:
        if not target.has_usable_address:
            return _unreached(node, f"its address {target.address!r} is neither a host name nor an IP address")
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._connect(target.address)
        except TimeoutError:
            return _unreached(node, f"{target.address}: no connection within {self._connect_timeout:g} s")
        except (OSError, asyncssh.Error) as error:
            return _unreached(node, f"{target.address}: {error}")
        try:
            return await self._await_exit(node, connection, target)
        except asyncssh.ChannelOpenError as error:
            return _unreached(node, f"{target.address} refused to start the command: {error}")
        except (OSError, asyncssh.Error) as error:
            return NodeResult(node, CommandOutcome.SILENT, reason=f"{target.address}: {error}")
        finally:
            connection.close()
            await connection.wait_closed()

    async def _await_exit(self, node: str, connection: asyncssh.SSHClientConnection, target: Target) -> NodeResult:
        printed = b""
        # Not as a context manager: it would wait for the command, even when cancelled.
        process = await connection.create_process(
            target.command, stdin=asyncssh.DEVNULL, stderr=asyncssh.STDOUT, encoding=None
        )
        self._enter(node, SshPhase.RUNNING)
        while chunk := await process.stdout.read(_CHUNK):
            printed = (printed + chunk)[-LONGEST_OUTPUT:]
        await process.wait_closed()
        match process.returncode:
            case None:
                return NodeResult(node, CommandOutcome.SILENT, reason=f"{target.address}: the connection broke")
            case 0:
                return NodeResult(node, CommandOutcome.EXITED, 0)
            case code:
                return NodeResult(node, CommandOutcome.EXITED, code, printed.decode(errors="replace"))

    def _enter(self, node: str, phase: SshPhase) -> None:
        self._phases[node] = phase
        has_ended = len(self.results) == len(self._phases) and phase is SshPhase.ENDED
        if has_ended or monotonic() >= self._reported_at + _REPORT_EVERY:
            self._on_progress(self.summary)
            self._reported_at = monotonic()


def _unreached(node: str, reason: str) -> NodeResult:
    return NodeResult(node, CommandOutcome.UNACKNOWLEDGED, reason=reason)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what asyncssh logs of each command, and the command itself, out of the task's log, unless debugging is on.

    Other users of asyncssh in this process keep their lines.
    """
    logging.getLogger("asyncssh").addFilter(_is_worth_logging)  # adding it again changes nothing
    token = _is_running_here.set(True)
    try:
        yield
    finally:
        _is_running_here.reset(token)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    is_debugging = logging.getLogger("asyncssh").isEnabledFor(logging.DEBUG)
    return record.levelno >= logging.WARNING or is_debugging or not _is_running_here.get()
