"""A process that runs ConvergedTrigger as a triggerer does, and measures itself; `benchmarks.convergence` starts it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil


@dataclass(frozen=True, slots=True)
class Measured:
    """One wait: when its event came, and what it took.

    :param event_ns: nanoseconds since the epoch.
    :param memory_mb: the most memory held during the wait, above what the idle process holds.
    :param connections: the most connections to Consul open at once.
    """

    event_ns: int
    ending: str
    memory_mb: float
    connections: int


def serve(pipe: Connection, port: int, root: str) -> None:
    """Run a trigger for each set of parameters that comes through the pipe; None ends it."""
    os.environ["AIRFLOW_CONN_CONSUL_DEFAULT"] = json.dumps(
        {"conn_type": "consul", "host": "127.0.0.1", "port": port, "extra": {"prefix": root}}
    )
    from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger  # noqa: PLC0415 in this process only

    asyncio.run(_warm_up())
    idle = psutil.Process().memory_info().rss
    pipe.send("ready")
    while (parameters := pipe.recv()) is not None:
        pipe.send(asyncio.run(_measure(ConvergedTrigger(**parameters), port, idle)))


async def _warm_up() -> None:
    """Import and connect, so that the idle process is a triggerer that has waited before."""
    from airflow_provider_chefconsul.hooks.consul import ConsulHook  # noqa: PLC0415 in this process only

    async with ConsulHook().open_view() as view:
        await view.client.leader()


async def _measure(trigger: Any, port: int, idle: int) -> Measured:
    process = psutil.Process()
    with open("/proc/self/clear_refs", "w") as refs:  # noqa: ASYNC230, PTH123 resets the peak that VmHWM shows
        refs.write("5")
    most = 0

    async def count_connections() -> None:
        nonlocal most
        while True:
            open_now = [each for each in process.net_connections("tcp4") if each.raddr and each.raddr.port == port]
            most = max(most, sum(each.status == psutil.CONN_ESTABLISHED for each in open_now))
            await asyncio.sleep(0.2)

    counting = asyncio.create_task(count_connections())
    event = await anext(trigger.run())
    event_ns = time.time_ns()
    counting.cancel()
    return Measured(event_ns, event.payload["ending"], (_peak() - idle) / 1e6, most)


def _peak() -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
