"""From a write to the nodes' watches, and from the last report to the wait's verdict.

    python -m benchmarks.convergence [--large 10000] [--rounds 40] [--json FILE]

The trigger runs in a process of its own; members are registered in the catalog, a generator writes their reports. Exits
with 1 when a target is missed.
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

from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import Writer
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from benchmarks.trigger_process import Measured, serve
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

ROOT, ENVIRONMENT = "bench", "demo"
BATCH = 64  # operations in a transaction
DEFAULT_JSON = Path("build/benchmarks/convergence.json")


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure and its target; smaller is better."""

    what: str
    value: float
    target: float
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.target


async def measure_watch(cluster: ConsulCluster, marks: Path, rounds: int) -> Figure:
    """Write a new generation and wait until the node's watch handler has noted the time."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=ROOT)) as client:
        view = SharedView(client)
        delays = []
        for number in range(rounds + 1):
            seen = _marks(marks)
            before = time.time_ns()
            await write(view, ENVIRONMENT, {"watched": _change(number)})
            while len(noted := _marks(marks)) == len(seen):  # noqa: ASYNC110 the handler is another process
                await asyncio.sleep(0.002)
            delays.append((noted[-1] - before) / 1e6)
            await asyncio.sleep(0.05)
    return Figure("write to watch handler, p50", round(statistics.median(delays[1:]), 1), 15, "ms")


async def measure_verdict(port: int, trigger: Connection, size: int, rounds: int) -> list[Figure]:
    """Write a generation, let all members report it, and take the time from the last report to the verdict."""
    tier = f"tier{size}"
    async with ConsulClient(ConsulSettings("127.0.0.1", port, root=ROOT)) as client:
        nodes = [f"{tier}-{number}" for number in range(size)]
        await _in_batches(
            [client.catalog.register(node, "127.0.0.1", service={"Service": tier}) for node in nodes], at_once=32
        )
        view = SharedView(client)
        delays, results = [], []
        for number in range(rounds):
            generation = (await write(view, ENVIRONMENT, {tier: _change(number)})).generations[tier]
            trigger.send(_parameters(tier, generation))
            await asyncio.sleep(0.2)  # the wait has begun before the reports come
            last = await _report(view, tier, nodes, generation)
            result: Measured = await asyncio.to_thread(trigger.recv)
            assert result.ending == "converged", result
            delays.append((result.event_ns - last) / 1e6)
            results.append(result)
    delays.sort()
    p95 = delays[max(0, round(0.95 * len(delays)) - 1)]
    figures = [
        Figure(f"last report to verdict at {size:,} members, p95", round(p95, 1), 50 if size <= 100 else 1000, "ms")
    ]
    if size > 100:
        figures += [
            Figure("trigger's memory above idle", round(max(each.memory_mb for each in results), 1), 100, "MB"),
            Figure("connections to Consul, two watches", max(each.connections for each in results), 2, ""),
        ]
    return figures


async def _report(view: SharedView, tier: str, nodes: Sequence[str], generation: int) -> int:
    """Write every node's report, the last one by itself; returns when that was, in nanoseconds since the epoch."""
    keyed = [
        (
            view.keys.report(ENVIRONMENT, tier, node),
            NodeReport(
                node, tier, generation, "converged", Status.SUCCEEDED, f"{generation:032x}",
                "2026-11-22T08:00:01Z", "2026-11-22T08:00:09Z", 2, "consul", "chef 18.5.0",
            ).to_json(),
        )
        for node in nodes
    ]  # fmt: skip
    for start in range(0, len(keyed) - 1, BATCH):
        batch = keyed[start : min(start + BATCH, len(keyed) - 1)]
        await view.client.transact([Operation.set_key(key, value) for key, value in batch])
    last = time.time_ns()
    await view.client.transact([Operation.set_key(*keyed[-1])])
    return last


def _change(number: int) -> Change:
    return Change("converged", Writer("bench", "run", "set"), {"release": str(number)})


def _parameters(tier: str, generation: int) -> dict[str, object]:
    policy = ConvergencePolicy(timeout=timedelta(minutes=5))
    return {
        "consul_conn_id": "consul_default",
        "environment": ENVIRONMENT,
        "waits": {tier: Wait(generation, datetime.now(UTC) + policy.timeout).to_fields()},
        "policy": policy.to_fields(),
        "members": "service",
    }


async def _in_batches(coroutines: Sequence[object], at_once: int) -> None:
    for start in range(0, len(coroutines), at_once):
        await asyncio.gather(*coroutines[start : start + at_once])  # type: ignore[call-overload]


def _marks(marks: Path) -> list[int]:
    return [int(line) for line in marks.read_text().splitlines()] if marks.exists() else []


@contextmanager
def _trigger_process(port: int) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, port, ROOT))
    process.start()
    try:
        assert ours.recv() == "ready"
        yield ours
        ours.send(None)
        process.join()
    finally:
        process.kill()


def measure(large: int, rounds: int) -> list[Figure]:
    """Start Consul and take all figures."""
    with tempfile.TemporaryDirectory(prefix="convergence-") as name:
        directory = Path(name)
        marks = directory / "marks"
        cluster = ConsulCluster(find_consul(), directory / "consul")
        cluster.add_node(
            "watcher",
            tier="watcher",
            watch_key=f"{ROOT}/{ENVIRONMENT}/watched/desired",
            watch_command=["/bin/sh", "-c", f"date +%s%N >>{marks}"],
        )
        with cluster:
            figures = [asyncio.run(measure_watch(cluster, marks, rounds))]
            for size, times in ((8, rounds), (large, max(5, rounds // 8))):
                with _trigger_process(cluster.http_port) as trigger:
                    figures += asyncio.run(measure_verdict(cluster.http_port, trigger, size, times))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large", type=int, default=10_000, help="members of the large tier")
    parser.add_argument("--rounds", type=int, default=40, help="rounds for each figure")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)
    figures = measure(options.large, options.rounds)
    table = Table(title="Convergence")
    for column in ("", "measured", "target", ""):
        table.add_column(column, justify="left" if not column else "right")
    for figure in figures:
        met = "" if figure.is_met else "missed"
        table.add_row(figure.what, f"{figure.value:g} {figure.unit}", f"{figure.target:g} {figure.unit}", met)
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
