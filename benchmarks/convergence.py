"""From a write to the nodes' watches, and from the last report to the wait's verdict.

    python -m benchmarks.convergence [--large 10000] [--rounds 40] [--json FILE]

The trigger runs in a process of its own; members are registered in the catalog, a generator writes their reports. Exits
with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.change import Change
from benchmarks.load import ENVIRONMENT, ROOT, declare, parameters, percentile, register, report
from benchmarks.trigger_process import Measured, trigger_process
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

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


async def measure_verdict(port: int, triggers: Connection, size: int, rounds: int) -> list[Figure]:
    """Write a generation, let all members report it at once, and take the time from the last report to the verdict."""
    of = (ENVIRONMENT, f"tier{size}")
    tiers = {of: [f"{of[1]}-{number}" for number in range(size)]}
    async with ConsulClient(ConsulSettings("127.0.0.1", port, root=ROOT)) as client:
        view = SharedView(client)
        await register(view, tiers)
        delays, results = [], []
        for number in range(rounds):
            generations = await declare(view, tiers, number)
            triggers.send([parameters(ENVIRONMENT, {of[1]: generations[of]})])
            await asyncio.sleep(0.2)  # the wait has begun before the reports come
            last = await report(view, tiers, generations, seconds=0)
            result: Measured = await asyncio.to_thread(triggers.recv)
            assert set(result.endings) == {"converged"}, result
            delays.append((result.event_ns[0] - last[of]) / 1e6)
            results.append(result)
    p95 = percentile(delays, 0.95)
    figures = [
        Figure(f"last report to verdict at {size:,} members, p95", round(p95, 1), 50 if size <= 100 else 1000, "ms")
    ]
    if size > 100:
        figures += [
            Figure("trigger's memory above idle", round(max(each.memory_mb for each in results), 1), 100, "MB"),
            Figure("connections to Consul, two watches", max(each.connections for each in results), 10, ""),
        ]
    return figures


def _change(number: int) -> Change:
    return Change("converged", Writer("bench", "run", "set"), {"release": str(number)})


def _marks(marks: Path) -> list[int]:
    return [int(line) for line in marks.read_text().splitlines()] if marks.exists() else []


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
                with trigger_process(cluster.http_port, ROOT) as triggers:
                    figures += asyncio.run(measure_verdict(cluster.http_port, triggers, size, times))
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
