"""A process that runs a simulated fleet and measures itself; `benchmarks.simulated_fleet` starts it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psutil

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.simulator.fleet import Fleet, running
from airflow_provider_chefconsul.simulator.plan import plan_fleet


@dataclass(frozen=True, slots=True)
class Usage:
    """What a fleet took.

    :param cpu_seconds: of this process, since the fleet was ready.
    :param memory_mb: the most that this process held.
    """

    cpu_seconds: float
    memory_mb: float


def serve(pipe: Connection, settings: ConsulSettings, environment: str, sizes: dict[str, int]) -> None:
    """Run the fleet: send how long it took to be ready, answer whatever comes with its usage, end at None."""
    asyncio.run(_serve(pipe, settings, environment, sizes))


async def _serve(pipe: Connection, settings: ConsulSettings, environment: str, sizes: dict[str, int]) -> None:
    plan = plan_fleet(sizes, seconds=0)
    async with ConsulClient(settings) as client:
        begun = time.perf_counter()
        async with running(Fleet(client, environment, plan)):
            pipe.send(time.perf_counter() - begun)
            ready = _cpu_seconds()
            while await asyncio.to_thread(pipe.recv) is not None:
                pipe.send(Usage(_cpu_seconds() - ready, _peak_mb()))


def _cpu_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _peak_mb() -> float:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
