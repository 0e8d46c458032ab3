"""Remote execution of `true` on eight nodes, ours against the `consul exec` command with its defaults.

    python -m benchmarks.exec_fan_out [--runs 100] [--cli-runs 10] [--json FILE]

The two take turns on the same agents. The command leaves a line in a file for each time that it ran, so that both are
judged by what happened, not by what they say. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.nudge.remote_exec import run_over_consul
from airflow_provider_chefconsul.nudge.result import CommandOutcome
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

NODES = [f"node-{number}" for number in range(1, 9)]
LEAST_RATIO = 5.0
DEFAULT_JSON = Path("build/benchmarks/exec_fan_out.json")


@dataclass(frozen=True, slots=True)
class Run:
    """One execution on all nodes: how long it took, how many nodes it reported as done, how often the command ran."""

    seconds: float
    reported: int
    ran: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a series of runs comes to.

    :param missed: nodes not reported as done, over all runs.
    :param false: reports of nodes on which the command had not run.
    :param repeated: runs of the command beyond one per node.
    """

    runs: int
    median_seconds: float
    p95_seconds: float
    slowest_seconds: float
    missed: int
    false: int
    repeated: int


def summarize(runs: Sequence[Run]) -> Figures:
    """Add up a series."""
    seconds = sorted(run.seconds for run in runs)
    return Figures(
        runs=len(runs),
        median_seconds=round(statistics.median(seconds), 3),
        p95_seconds=round(seconds[int(0.95 * (len(seconds) - 1))], 3),
        slowest_seconds=round(seconds[-1], 3),
        missed=sum(len(NODES) - run.reported for run in runs),
        false=sum(max(0, run.reported - run.ran) for run in runs),
        repeated=sum(max(0, run.ran - len(NODES)) for run in runs),
    )


def run_ours(port: int, marks: Path) -> Run:
    """One execution with :func:`run_over_consul`, connecting anew as a task does."""

    async def connect_and_execute() -> int:
        async with ConsulClient(ConsulSettings("127.0.0.1", port)) as client:
            results = await run_over_consul(
                client,
                f"true; echo >>{marks}",
                NODES,
                job_id=uuid.uuid4().hex,
                deadline=datetime.now(UTC) + timedelta(seconds=60),
                on_progress=lambda _: None,
            )
        return sum(result.outcome is CommandOutcome.EXITED and result.exit_code == 0 for result in results.values())

    started = perf_counter()
    reported = asyncio.run(connect_and_execute())
    return Run(perf_counter() - started, reported, count_marks(marks))


def run_cli(consul: Path, port: int, marks: Path) -> Run:
    """One execution with the `consul exec` command."""
    command = [str(consul), "exec", f"-http-addr=127.0.0.1:{port}", "-node=^node-", f"true; echo >>{marks}"]
    started = perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    seconds = perf_counter() - started
    completed = re.search(r"(\d+) / \d+ node\(s\) completed", done.stdout + done.stderr)
    return Run(seconds, int(completed[1]) if completed else 0, count_marks(marks))


def count_marks(marks: Path) -> int:
    """How often the command has run."""
    return marks.read_text().count("\n") if marks.exists() else 0


def measure(runs: int, cli_runs: int) -> dict[str, Figures]:
    """Start the agents and let the two take turns."""
    consul = find_consul()
    ours: list[Run] = []
    theirs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="exec-fan-out-") as name:
        directory = Path(name)
        cluster = ConsulCluster(consul, directory / "consul")
        for node in NODES:
            cluster.add_node(node, tier="node")
        with cluster:
            run_ours(cluster.http_port, directory / "warm-up")
            for number in range(runs):
                ours.append(run_ours(cluster.http_port, directory / f"ours-{number}"))
                if (number + 1) * cli_runs // runs > len(theirs):
                    theirs.append(run_cli(consul, cluster.http_port, directory / f"theirs-{number}"))
    return {"ours": summarize(ours), "consul exec": summarize(theirs)}


def print_table(figures: dict[str, Figures], ratio: float) -> None:
    """Print what was measured."""
    table = Table(title=f"`true` on {len(NODES)} nodes: ours is {ratio:.1f} times as fast (target {LEAST_RATIO:g})")
    for column in ("", "runs", "median s", "p95 s", "slowest s", "missed", "false", "repeated"):
        table.add_column(column, justify="right" if column else "left")
    for who, values in figures.items():
        table.add_row(who, *(str(value) for value in asdict(values).values()))
    Console().print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="runs of ours")
    parser.add_argument("--cli-runs", type=int, default=10, help="runs of `consul exec`")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)

    figures = measure(options.runs, options.cli_runs)
    ours = figures["ours"]
    ratio = figures["consul exec"].median_seconds / ours.median_seconds
    is_met = ratio >= LEAST_RATIO and (ours.missed, ours.false, ours.repeated) == (0, 0, 0)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"ratio": round(ratio, 2), "is_met": is_met} | {who: asdict(values) for who, values in figures.items()}
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    print_table(figures, ratio)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
