"""Remote execution through Consul's agents, by the protocol of ``consul exec``.

Unlike that command, it knows the nodes beforehand: it returns as soon as the last of them has exited, and never takes
silence for success.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable, InvalidInput, SessionLost
from airflow_provider_chefconsul.nudge.guard import guarded
from airflow_provider_chefconsul.nudge.result import LONGEST_OUTPUT, NO_SHELL, CommandOutcome, NodeResult
from airflow_provider_chefconsul.nudge.roster import AMBIGUOUS_EXIT, Roster
from airflow_provider_chefconsul.nudge.session import ExecSession, check_events

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

T = TypeVar("T")
log = logging.getLogger(__name__)
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")  # with an empty part, Consul changes the key
_BACKOFF = 1.0  # seconds
_REPORT_EVERY = 1.0  # seconds
_LONGEST_TURN = 2.0  # seconds that one turn of the watch counts: while Consul is silent, nodes cannot answer either
_REST_PER_NODE = 0.5e-3  # seconds; each listing names every node, so the more there are, the more changes share one
_LONGEST_REST = 0.5  # seconds


async def run_over_consul(
    client: ConsulClient,
    command: str,
    nodes: Sequence[str],
    *,
    job_id: str,
    attempt: int = 1,
    deadline: datetime,
    max_parallel: int | None = None,
    prefix_per_node: str | None = None,
    ack_timeout: timedelta = timedelta(seconds=10),
    silence_timeout: timedelta = timedelta(seconds=30),
    on_progress: Callable[[str], None] = log.info,
) -> dict[str, NodeResult]:
    """Run a shell command on nodes, and return as soon as each has exited or is given up.

    When it is called again with the same ``job_id`` and command, nodes that ran the command give the same exit code
    without running it again, and nodes that still run it are waited for. A lost session is replaced in the same way.

    :param command: for ``/bin/sh -c``, with the agent's user, environment and working directory, without stdin.
    :param attempt: a later attempt at the job runs the command again on nodes where an earlier one has ended.
    :param deadline: aware; nodes that have not exited by then run on unobserved.
    :param max_parallel: fire for further nodes only as others finish.
    :param prefix_per_node: keys below ``PREFIX/NODE/`` instead of ``_rexec/``, where agents may write only those.
    :param ack_timeout: how long a node may take to acknowledge; its event is repeated meanwhile.
    :param silence_timeout: how long a node that acknowledged may stay without a heartbeat.
    :param on_progress: called with a line of text when nodes have made progress.
    :returns: results by node.
    :raises InvalidInput: a parameter is not valid; nothing was sent.
    :raises ConsulUnavailable: nothing could be started before the deadline.
    :raises AccessDenied: the token may not write sessions or the job's keys, or not fire the event ``_rexec``.
    """
    if max_parallel is not None and max_parallel < 1:
        raise InvalidInput(f"max_parallel must be at least 1, or None for all nodes at once, not {max_parallel}")
    if prefix_per_node is not None and not _PREFIX.fullmatch(prefix_per_node):
        raise InvalidInput(f"prefix_per_node {prefix_per_node!r} must be one or more names with '/' between them")
    check_events(nodes, prefix_per_node)
    roster = Roster(nodes, max_parallel=max_parallel, ack_timeout=ack_timeout, silence_timeout=silence_timeout)
    heartbeat = max(1.0, silence_timeout.total_seconds() / 10)
    spec = json.dumps({"Args": guarded(job_id, command, attempt=attempt), "Wait": int(heartbeat * 1e9)})
    async with _in_agents_namespace(client) as agents_client:
        execution = _Execution(agents_client, roster, spec, prefix_per_node, on_progress)
        try:
            async with asyncio.timeout((deadline - datetime.now(UTC)).total_seconds()):
                await execution.run()
        except TimeoutError:
            if not execution.has_fired:
                why = execution.trouble or "Consul did not answer in time"
                raise ConsulUnavailable(
                    f"the deadline passed before an event could be fired: {why}"
                ) from execution.trouble
            on_progress(f"stopped waiting at the deadline: {roster.summary}")
        return {node: execution.result(node) for node in nodes}


@asynccontextmanager
async def _in_agents_namespace(client: ConsulClient) -> AsyncGenerator[ConsulClient]:
    """The client, or one in the namespace ``default``: there agents look for jobs, wherever their services are."""
    if client.settings.namespace is None:
        yield client
        return
    settings = replace(client.settings, namespace="default")
    async with type(client)(settings, retry_for=client.retry_for) as agents_client:
        yield agents_client


class _Execution:
    """One call of :func:`run_over_consul`: one session after the other, until no node is awaited any more."""

    def __init__(
        self,
        client: ConsulClient,
        roster: Roster,
        spec: str,
        prefix_per_node: str | None,
        on_progress: Callable[[str], None],
    ) -> None:
        self.has_fired = False
        self.trouble: ConsulError | None = None
        self._client = client
        self._roster = roster
        self._spec = spec
        self._prefix_per_node = prefix_per_node
        self._on_progress = on_progress
        self._last_summary = ""
        self._reported_at = float("-inf")
        self._outputs: dict[str, str] = {}
        self._clock = 0.0  # seconds during which Consul answered

    async def run(self) -> None:
        while self._roster.is_open:
            try:
                session = await ExecSession.open(self._client, self._spec, self._prefix_per_node)
                await self._run(session)
            except (ConsulUnavailable, SessionLost) as error:
                self._complain(error)
                self._roster.restart()
                await asyncio.sleep(_BACKOFF)

    def result(self, node: str) -> NodeResult:
        exit_code = self._roster.exit_code(node)
        if exit_code is not None:
            output = self._outputs.get(node, "")
            reason = NO_SHELL if exit_code == AMBIGUOUS_EXIT and not output else ""
            return NodeResult(node, CommandOutcome.EXITED, exit_code, output, reason)
        return NodeResult(
            node, CommandOutcome.SILENT if self._roster.has_started(node) else CommandOutcome.UNACKNOWLEDGED
        )

    async def _run(self, session: ExecSession) -> None:
        watching = asyncio.create_task(self._watch(session))
        keeping = asyncio.create_task(session.keep_alive())
        try:
            await asyncio.wait({watching, keeping}, return_when=asyncio.FIRST_COMPLETED)
            await (watching if watching.done() else keeping)
        finally:
            await _finish(_close(session, watching, keeping))

    async def _watch(self, session: ExecSession) -> None:
        index, turn = 0, monotonic()
        distrusted: set[str] = set()
        while True:
            try:
                await self._act(session, distrusted)
                if not self._roster.is_open:
                    return
                index, names = await session.names(index)
                await self._read(session, names)
                self.trouble = None
            except ConsulUnavailable as error:
                self._complain(error)
                index = 0
                await asyncio.sleep(_BACKOFF)
            await asyncio.sleep(min(_LONGEST_REST, self._roster.size * _REST_PER_NODE))
            self._clock += min(monotonic() - turn, _LONGEST_TURN)
            turn = monotonic()

    async def _act(self, session: ExecSession, distrusted: set[str]) -> None:
        """Do what is due. A failure loses nothing: the roster repeats events, and distrusted nodes stay distrusted."""
        due = self._roster.advance(self._clock)
        distrusted.update(due.forget)
        for node in sorted(distrusted):
            await session.forget(node)
            distrusted.discard(node)
        if due.fire:
            await session.fire(due.fire)
            self.has_fired = True
        for node, sign in zip(due.listen, await _all(session.last_sign(node) for node in due.listen), strict=True):
            if sign is not None:
                self._roster.hear(node, sign, self._clock)
        self._report()

    async def _read(self, session: ExecSession, names: set[str]) -> None:
        exited = []
        for node in self._roster.awaited():
            if session.key(node, "exit") in names:
                exited.append(node)
            elif session.key(node, "ack") in names:
                self._roster.acknowledge(node, self._clock)
        for node, code in zip(exited, await _all(session.exit_code(node) for node in exited), strict=True):
            if code is not None and self._roster.finish(node, code) and code != 0:
                self._outputs[node] = (await session.output(node))[-LONGEST_OUTPUT:]

    def _report(self) -> None:
        summary = self._roster.summary
        is_due = not self._roster.is_open or monotonic() >= self._reported_at + _REPORT_EVERY
        if is_due and summary != self._last_summary:
            self._on_progress(summary)
            self._last_summary, self._reported_at = summary, monotonic()

    def _complain(self, error: ConsulError) -> None:
        if self.trouble is None:
            self._on_progress(f"{error}; trying again")
        self.trouble = error


async def _close(session: ExecSession, *tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()


async def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await to the end even when cancelled meanwhile; the cancellation takes effect afterwards."""
    task = asyncio.create_task(coroutine)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all to their end at the same time, then raise the first error if there is one."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]
