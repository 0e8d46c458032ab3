"""Slots: a large fleet converges, a few per cent of it at one time; the time against the ideal, and what Consul bears.

    python -m benchmarks.slots [--nodes 3000] [--slots 5%] [--seconds 2] [--json FILE]

The fleet runs in a process of its own; this one declares, and counts by the nodes' reports how many run at one time.
Exits with 1 when more ran than there are slots.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.simulator.fleet import Fleet, running
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from benchmarks.load import consul

ROOT, ENVIRONMENT, TIER = "bench", "demo", "web"
DEFAULT_JSON = Path("build/benchmarks/slots.json")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one rollout took.

    :param ideal_seconds: were every slot in use until the last node has converged.
    :param most: how many ran at one time, as counted by the nodes' reports.
    :param writes_per_second: entries of Consul's log in that time.
    """

    nodes: int
    slots: int
    seconds: float
    ideal_seconds: float
    most: int
    writes: int
    writes_per_second: float
    consul_cpu_seconds: float
    fleet_cpu_seconds: float


async def measure(port: int, server: int | None, nodes: int, slots: str, seconds: float) -> Figures:
    """Declare, and follow the fleet until all have converged."""
    settings = ConsulSettings("127.0.0.1", port, root=ROOT)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(settings, nodes, seconds, there))
    process.start()
    try:
        await asyncio.to_thread(here.recv)
        async with ConsulClient(settings) as client:
            view = SharedView(client)
            programs = [psutil.Process(server), psutil.Process(process.pid)]
            cpu = [sum(each.cpu_times()[:2]) for each in programs]
            begun, first = time.monotonic(), await _log_index(client)
            change = Change("converged", Writer("bench", "run", "set"), pacing=parse_pacing(slots))
            await write(view, ENVIRONMENT, {TIER: change})
            most, limit = await _follow(view, nodes)
            took, writes = time.monotonic() - begun, await _log_index(client) - first
            spent = [sum(each.cpu_times()[:2]) - before for each, before in zip(programs, cpu, strict=True)]
    finally:
        process.terminate()
        process.join()
    return Figures(nodes, limit, took, nodes * seconds / limit, most, writes, writes / took, *spent)


async def _follow(view: SharedView, nodes: int) -> tuple[int, int]:
    """The most nodes that ran at one time, and the number of slots."""
    most = limit = 0
    before = None
    async with aclosing(view.watch(ENVIRONMENT, TIER, ServiceMembers(TIER))) as watch:
        async for snapshot in watch:
            if not isinstance(snapshot.desired, DesiredState):
                continue
            limit = snapshot.desired.stable.pace.max_parallel or 0
            before = tier_status(snapshot, before=before)
            most = max(most, before.count(Standing.RUNNING))
            if before.count(Standing.CONVERGED) == nodes:
                break
    return most, limit


async def _log_index(client: ConsulClient) -> int:
    """The index of a write made now."""
    await client.kv.put(f"{ROOT}-index", str(time.monotonic()))
    entry = await client.get(f"{ROOT}-index")
    return entry.modify_index if entry else 0


def _run(settings: ConsulSettings, nodes: int, seconds: float, ready: Connection) -> None:
    async def live() -> None:
        async with ConsulClient(settings) as client:
            plan = plan_fleet({TIER: nodes}, seconds=seconds)
            async with running(Fleet(client, ENVIRONMENT, plan, tell=lambda _: None)):
                ready.send(True)
                await asyncio.Event().wait()

    asyncio.run(live())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slots", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nodes", type=int, default=3000)
    parser.add_argument("--slots", default="5%")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a run takes")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON)
    options = parser.parse_args(arguments)
    with consul() as cluster:
        server = cluster.server.pid
        figures = asyncio.run(measure(cluster.http_port, server, options.nodes, options.slots, options.seconds))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    print(
        f"{figures.nodes} nodes, {figures.slots} slots: {figures.seconds:.1f} s (ideal {figures.ideal_seconds:.1f} s), "
        f"at most {figures.most} at one time, {figures.writes_per_second:.0f} writes/s ({figures.writes}), CPU "
        f"{figures.consul_cpu_seconds:.1f} s Consul, {figures.fleet_cpu_seconds:.1f} s fleet"
    )
    return 0 if figures.most <= figures.slots else 1


if __name__ == "__main__":
    sys.exit(main())
