"""Deferred waits in one triggerer while reports come in: growth of one tier, many tiers, many environments.

    python -m benchmarks.waits [growth | tiers | environments …] [--sizes 100 1000 10000 50000] [--seconds 20]
                               [--rounds 3] [--json FILE]

The waits run in a process of their own. `growth` also gives each size's CPU per report as a ratio to the smallest's,
which says how a wait grows whatever the machine. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from benchmarks.load import ENVIRONMENT, ROOT, Tiers, consul, declare, parameters, percentile, register, report
from benchmarks.trigger_process import Measured, trigger_process

DEFAULT_JSON = Path("build/benchmarks/waits.json")
_TURN_MS = 50.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What waits took; delays are from a tier's last report to its verdict, in milliseconds.

    :param cpu_ratio: CPU per report, as a ratio to the smallest size's of the same run.
    """

    name: str
    waits: int
    members: int
    delay_p50: float
    delay_p95: float
    cpu_seconds: float
    cpu_ratio: float
    longest_turn_ms: float
    memory_mb: float
    connections: int
    requests: int
    refused: int
    missed: Sequence[str] = ()


async def measure(port: int, name: str, tiers: Tiers, seconds: float, rounds: int) -> Figures:
    """Let all tiers converge a few times, each with a wait of its own; the delays are of all rounds."""
    delays: list[float] = []
    results: list[Measured] = []
    with trigger_process(port, ROOT) as triggers:
        async with ConsulClient(ConsulSettings("127.0.0.1", port, root=ROOT)) as client:
            view = SharedView(client)
            await register(view, tiers)
            for number in range(rounds):
                generations = await declare(view, tiers, number)
                triggers.send([parameters(environment, {tier: g}) for (environment, tier), g in generations.items()])
                await asyncio.sleep(1 + sum(map(len, tiers.values())) / 10_000)  # all have begun before reports come
                last = await report(view, tiers, generations, seconds)
                result: Measured = await asyncio.to_thread(triggers.recv)
                assert set(result.endings) == {"converged"}, result.endings
                delays += [(at - last[of]) / 1e6 for at, of in zip(result.event_ns, tiers, strict=True)]
                results.append(result)
    figures = Figures(
        name,
        len(tiers),
        sum(map(len, tiers.values())),
        round(percentile(delays, 0.5), 1),
        round(percentile(delays, 0.95), 1),
        round(percentile([each.cpu_seconds for each in results], 0.5), 2),
        1.0,
        round(percentile([each.longest_turn_ms for each in results], 0.5), 1),
        round(max(each.memory_mb for each in results), 1),
        max(each.connections for each in results),
        round(percentile([each.requests for each in results], 0.5)),
        sum(each.refused for each in results),
    )
    print(figures, file=sys.stderr, flush=True)
    return figures


def _one_tier(size: int) -> Tiers:
    return {(ENVIRONMENT, f"tier{size}"): [f"tier{size}-{number}" for number in range(size)]}


def _many(environments: int, tiers: int, nodes: int) -> Tiers:
    return {
        (f"{ENVIRONMENT}{e}", f"t{e}x{t}"): [f"t{e}x{t}-{n}" for n in range(nodes)]
        for e in range(environments)
        for t in range(tiers)
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", default=["growth", "tiers", "environments"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000, 50_000], help="members of a tier")
    parser.add_argument("--seconds", type=float, default=20, help="time over which the reports come")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each figure")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)
    loads = {f"one tier of {size:,}": _one_tier(size) for size in options.sizes} if "growth" in options.what else {}
    if "tiers" in options.what:
        loads["200 tiers of 50 in an environment"] = _many(1, 200, 50)
    if "environments" in options.what:
        loads["100 environments, a tier of 50 in each"] = _many(100, 1, 50)
    figures = []
    for name, tiers in loads.items():
        with consul() as cluster:
            figures.append(asyncio.run(measure(cluster.http_port, name, tiers, options.seconds, options.rounds)))
    first = figures[0].cpu_seconds / figures[0].members
    documents = [
        {**asdict(each), "cpu_ratio": round(each.cpu_seconds / each.members / first, 2), "missed": _missed(each)}
        for each in figures
    ]
    table = Table(title=f"Waits while reports come in over {options.seconds:g} s")
    table.add_column("")
    for document in documents:
        table.add_column(document["name"], justify="right")
    for field in list(documents[0])[1:]:
        table.add_row(field, *(str(document[field]) for document in documents))
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(documents, indent=2) + "\n")
    return int(any(document["missed"] for document in documents))


def _missed(figures: Figures) -> list[str]:
    delay = 300 if figures.waits > 1 else 150 if figures.members <= 10_000 else 800
    targets = {"delay_p95": delay, "longest_turn_ms": _TURN_MS, "connections": 10, "refused": 0}
    if figures.members <= 10_000:
        targets |= {"cpu_seconds": 3.0, "memory_mb": 80}
    return [name for name, target in targets.items() if getattr(figures, name) > target]


if __name__ == "__main__":
    sys.exit(main())
