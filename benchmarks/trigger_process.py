"""A process that runs ConvergedTriggers in one event loop, as a triggerer does, and measures itself."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil
import structlog

_TICK = 0.01  # seconds
_SAMPLE = 50  # ticks between two counts of the connections


@dataclass(frozen=True, slots=True)
class Measured:
    """What some waits took together.

    :param event_ns: by trigger, when its event came, in nanoseconds since the epoch.
    :param endings: by trigger, how it ended.
    :param cpu_seconds: of the process, from when all had begun until the last had ended.
    :param longest_turn_ms: the longest that the event loop was kept from a timer, in CPU time of its thread, so that
        other processes of the machine do not count.
    :param memory_mb: the most memory held during the waits, above what the idle process holds.
    :param connections: the most connections to Consul open at once.
    :param requests: sent to Consul.
    :param refused: how many times a wait said that Consul was away.
    """

    event_ns: Sequence[int]
    endings: Sequence[str]
    cpu_seconds: float
    longest_turn_ms: float
    memory_mb: float
    connections: int
    requests: int
    refused: int


class _Count(logging.Handler):
    """Counts the requests that httpx logs, and the waits that say that Consul is away; prints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = self.refused = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        """Count a request."""
        self.requests += 1

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look at a line of a task's log, as a processor of structlog."""
        self.refused += "trying again until" in event["event"]
        raise structlog.DropEvent


@contextmanager
def trigger_process(port: int, root: str) -> Iterator[Connection]:
    """Start the process; lists of parameters go into the pipe, and a :class:`Measured` comes out for each."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, port, root))
    process.start()
    try:
        assert ours.recv() == "ready"
        yield ours
        ours.send(None)
        process.join()
    finally:
        process.kill()


def serve(pipe: Connection, port: int, root: str) -> None:
    """Run triggers for each list of parameters that comes through the pipe; None ends it."""
    os.environ["AIRFLOW_CONN_CONSUL_DEFAULT"] = json.dumps(
        {"conn_type": "consul", "host": "127.0.0.1", "port": port, "extra": {"prefix": root}}
    )
    asyncio.run(_warm_up())
    idle = psutil.Process().memory_info().rss
    pipe.send("ready")
    while (parameters := pipe.recv()) is not None:
        pipe.send(asyncio.run(_measure(parameters, port, idle)))


async def _warm_up() -> None:
    """Import and connect, so that the idle process is a triggerer that has waited before."""
    from airflow_provider_chefconsul.consul import wait  # noqa: F401, PLC0415 in this process only
    from airflow_provider_chefconsul.hooks.consul import ConsulHook  # noqa: PLC0415 in this process only
    from airflow_provider_chefconsul.triggers import converged  # noqa: F401, PLC0415 in this process only

    async with ConsulHook().open_view() as view:
        await view.client.leader()


async def _measure(parameters: Sequence[Mapping[str, Any]], port: int, idle: int) -> Measured:
    from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger  # noqa: PLC0415 in this process only

    process, count = psutil.Process(), _Count()
    structlog.configure(processors=[count])
    logger = logging.getLogger("httpx")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(count)
    with open("/proc/self/clear_refs", "w") as refs:  # noqa: ASYNC230, PTH123 resets the peak that VmHWM shows
        refs.write("5")
    longest, most = 0.0, 0

    async def attend() -> None:
        nonlocal longest, most
        ticks, before = 0, time.thread_time()
        while True:
            if ticks % _SAMPLE == 0:
                most = max(most, _connections(process, port))
                before = time.thread_time()
            await asyncio.sleep(_TICK)
            now = time.thread_time()
            longest, before, ticks = max(longest, now - before), now, ticks + 1

    async def run(given: Mapping[str, Any]) -> tuple[int, str]:
        event = await anext(ConvergedTrigger(**given).run())
        return time.time_ns(), event.payload["ending"]

    began = time.process_time()
    attending = asyncio.create_task(attend())
    ended = await asyncio.gather(*(run(each) for each in parameters))
    cpu = time.process_time() - began
    attending.cancel()
    with suppress(asyncio.CancelledError):
        await attending
    logger.removeHandler(count)
    return Measured(
        [at for at, _ in ended],
        [ending for _, ending in ended],
        cpu,
        longest * 1000,
        (_peak() - idle) / 1e6,
        most,
        count.requests,
        count.refused,
    )


def _connections(process: psutil.Process, port: int) -> int:
    found = process.net_connections("tcp4")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found if each.raddr and each.raddr.port == port)


def _peak() -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
