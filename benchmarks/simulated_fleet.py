"""A simulated fleet: from a write until all nodes have reported, with CPU time and memory.

    python -m benchmarks.simulated_fleet [--sizes 200 1000 5000 10000] [--rounds 5] [--json FILE]

The fleet runs in a process of its own, its nodes' runs take no time; this process writes and waits, as a Dag's tasks
do. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from benchmarks.fleet_process import Usage, serve
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

ROOT, ENVIRONMENT, TIER = "bench", "demo", "web"
TARGET_SIZE, TARGET_SECONDS = 5000, 10.0
DEFAULT_JSON = Path("build/benchmarks/simulated_fleet.json")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a fleet of one size took; seconds and CPU seconds are of one generation, the median of several.

    :param join_seconds: from its start until all its nodes are in the catalog.
    :param seconds: from the write to the wait's verdict.
    """

    size: int
    join_seconds: float
    seconds: float
    fleet_cpu_seconds: float
    consul_cpu_seconds: float
    fleet_memory_mb: float

    @property
    def is_met(self) -> bool:
        """Whether the target is met: it is for one size."""
        return self.size != TARGET_SIZE or self.seconds <= TARGET_SECONDS


async def measure(cluster: ConsulCluster, size: int, rounds: int) -> Figures:
    """Let a fleet converge several times."""
    settings = ConsulSettings("127.0.0.1", cluster.http_port, root=f"{ROOT}/{size}")
    with _fleet_process(settings, size) as fleet:
        joined: float = await asyncio.to_thread(fleet.recv)
        assert cluster.server.pid is not None
        consul = psutil.Process(cluster.server.pid)
        took, fleet_cpu, consul_cpu, memory = [], [], [], 0.0
        async with ConsulClient(settings) as client:
            view = SharedView(client)
            for number in range(rounds):
                before, consul_before = await _usage(fleet), _cpu_seconds(consul)
                begun = time.perf_counter()
                await _converge(view, number)
                took.append(time.perf_counter() - begun)
                after = await _usage(fleet)
                fleet_cpu.append(after.cpu_seconds - before.cpu_seconds)
                consul_cpu.append(_cpu_seconds(consul) - consul_before)
                memory = after.memory_mb
    medians = [round(statistics.median(each), 2) for each in (took, fleet_cpu, consul_cpu)]
    return Figures(size, round(joined, 2), medians[0], medians[1], medians[2], round(memory))


async def _converge(view: SharedView, number: int) -> None:
    change = Change("converged", Writer("bench", "run", "set"), {"release": str(number)})
    generation = (await write(view, ENVIRONMENT, {TIER: change})).generations[TIER]
    wait = Wait(generation, datetime.now(UTC) + timedelta(minutes=5))
    policy = ConvergencePolicy()
    results = await wait_for_tiers(view, ENVIRONMENT, {TIER: wait}, {TIER: ServiceMembers(TIER)}, policy)
    assert isinstance(results[TIER].verdict, Converged), results


async def _usage(fleet: Connection) -> Usage:
    fleet.send("usage")
    usage: Usage = await asyncio.to_thread(fleet.recv)
    return usage


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _fleet_process(settings: ConsulSettings, size: int) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, settings, ENVIRONMENT, {TIER: size}))
    process.start()
    try:
        yield ours
        ours.send(None)
        process.join()
    finally:
        process.kill()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1000, 5000, 10_000], help="numbers of nodes")
    parser.add_argument("--rounds", type=int, default=5, help="generations for each size")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="simulated-fleet-") as name,
        ConsulCluster(find_consul(), Path(name) / "consul") as cluster,
    ):
        figures = [asyncio.run(measure(cluster, size, options.rounds)) for size in options.sizes]
    table = Table(title=f"Simulated fleet (target: {TARGET_SIZE:,} nodes within {TARGET_SECONDS:g} s)")
    for column in ("nodes", "join", "write to verdict", "CPU fleet", "CPU Consul", "memory fleet", ""):
        table.add_column(column, justify="right")
    for each in figures:
        table.add_row(
            f"{each.size:,}",
            f"{each.join_seconds:g} s",
            f"{each.seconds:g} s",
            f"{each.fleet_cpu_seconds:g} s",
            f"{each.consul_cpu_seconds:g} s",
            f"{each.fleet_memory_mb:g} MB",
            "" if each.is_met else "missed",
        )
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n")
    return 0 if all(each.is_met for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
