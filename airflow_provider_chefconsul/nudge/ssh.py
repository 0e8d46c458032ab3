"""Running commands on many hosts over SSH, some at a time.

Opening a connection is the caller's business, since how and as whom is said elsewhere; so is the check of host keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic

import asyncssh

from airflow_provider_chefconsul.nudge.result import CommandOutcome, NodeResult
from airflow_provider_chefconsul.nudge.target import Target

Connect = Callable[[str], Awaitable[asyncssh.SSHClientConnection]]

log = logging.getLogger(__name__)
LONGEST_OUTPUT = 2000  # bytes; the end of what the command printed
CONNECT_TIMEOUT = timedelta(seconds=20)  # an sshd that looks its client up in a DNS that does not answer takes 10 s
_REPORT_EVERY = 1.0  # seconds
_CHUNK = 4096  # bytes
_is_running_here: ContextVar[bool] = ContextVar("_is_running_here", default=False)


class HostPhase(StrEnum):
    """Where a host stands."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    RUNNING = "running"
    ENDED = "ended"


_CUT_SHORT = {
    HostPhase.QUEUED: (CommandOutcome.UNACKNOWLEDGED, "its turn had not come when the time was over"),
    HostPhase.CONNECTING: (CommandOutcome.UNACKNOWLEDGED, "there was no connection yet when the time was over"),
    HostPhase.RUNNING: (CommandOutcome.SILENT, "the command had not ended when the time was over"),
}


async def execute(
    targets: Mapping[str, Target],
    connect: Connect,
    *,
    deadline: datetime,
    max_parallel: int | None = None,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    on_progress: Callable[[str], None] = log.info,
) -> tuple[dict[str, NodeResult], set[str]]:
    """Run each target's command once, and return when all have ended; one that fails does not stop the others.

    Commands that still run at the deadline lose their connection; whether they end then is for them to know.

    :param targets: by node, in the order in which they get their turn.
    :param connect: opens a connection to an address. An ``OSError`` or an ``asyncssh.Error`` is that host's trouble;
        anything else it raises ends all, and is raised here.
    :param deadline: aware.
    :param max_parallel: how many hosts may be connected at the same time; None is all.
    :param on_progress: called with a line of text whenever where the hosts stand has changed.
    :returns: by node what is known, and the nodes that were cut short by the deadline.
    """
    fan_out = _FanOut(targets, connect, max_parallel, connect_timeout, on_progress)
    try:
        with _quietly():
            async with asyncio.timeout((deadline - datetime.now(UTC)).total_seconds()), asyncio.TaskGroup() as group:
                for node in targets:
                    group.create_task(fan_out.run(node))
    except TimeoutError:
        on_progress(f"stops waiting here: {fan_out.summary}")
    except BaseExceptionGroup as trouble:
        raise trouble.exceptions[0] from trouble.exceptions[0].__cause__
    return {node: fan_out.result(node) for node in targets}, targets.keys() - fan_out.results.keys()


class _FanOut:
    """One call of :func:`execute`."""

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
        self._phases = dict.fromkeys(targets, HostPhase.QUEUED)
        self._reported_at = float("-inf")

    @property
    def summary(self) -> str:
        """How many hosts stand where, in one line."""
        phases = Counter(self._phases.values())
        failed = sum(result.exit_code != 0 for result in self.results.values())
        parts = [f"{phases[phase]} {phase}" for phase in HostPhase if phases[phase]]
        return f"of {len(self._phases)} nodes {', '.join(parts)}" + (f" ({failed} with an error)" if failed else "")

    def result(self, node: str) -> NodeResult:
        """What is known of a host by now."""
        if node in self.results:
            return self.results[node]
        outcome, reason = _CUT_SHORT[self._phases[node]]
        return NodeResult(node, outcome, reason=reason)

    async def run(self, node: str) -> None:
        """Run the host's command when it is its turn."""
        async with self._slots:
            self._enter(node, HostPhase.CONNECTING)
            self.results[node] = await self._run(node, self._targets[node])
            self._enter(node, HostPhase.ENDED)

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
            return _unreached(node, f"{target.address} starts no command: {error}")
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
        self._enter(node, HostPhase.RUNNING)
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

    def _enter(self, node: str, phase: HostPhase) -> None:
        self._phases[node] = phase
        has_ended = len(self.results) == len(self._phases) and phase is HostPhase.ENDED
        if has_ended or monotonic() >= self._reported_at + _REPORT_EVERY:
            self._on_progress(self.summary)
            self._reported_at = monotonic()


def _unreached(node: str, reason: str) -> NodeResult:
    return NodeResult(node, CommandOutcome.UNACKNOWLEDGED, reason=reason)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep asyncssh's thirteen lines of information per command, the command itself among them, out of the task's log.

    Other users of the process keep theirs, and everybody does where debugging is on.
    """
    logging.getLogger("asyncssh").addFilter(_is_worth_telling)  # adding it again changes nothing
    token = _is_running_here.set(True)
    try:
        yield
    finally:
        _is_running_here.reset(token)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    is_debugging = logging.getLogger("asyncssh").isEnabledFor(logging.DEBUG)
    return record.levelno >= logging.WARNING or is_debugging or not _is_running_here.get()
