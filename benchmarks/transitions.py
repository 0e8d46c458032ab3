"""Seven transitions over eight nodes in three tiers, with Airflow and without it.

    python -m benchmarks.transitions [--rounds 5] [--peer NAME=COMMAND …] [--json FILE]

A run of a node takes 0.2 s, so nothing can take less than 1.4 s. Rows are measured by turns, and only the Airflow whose
turn it is runs meanwhile: their ratios hold on a busy machine, too. A Dag run is timed from its start to its end as
Airflow's database has them, a program from its start to its exit; seven commands, one after the other, are added up.
`--peer` adds programs that do the same by other tools.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.table import Table

from benchmarks import quick_nodes
from benchmarks.core_rollout import STEPS
from benchmarks.paused_airflow import paused_airflow
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.nodes import ENVIRONMENT, TIERS, add_node

NODE_SECONDS = 0.2
DEFAULT_JSON = Path("build/benchmarks/transitions.json")
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "Airflow's defaults": {
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    },
    "the demo's": {},
    "tuned": {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.05"},
}
DAG = """
from airflow.sdk import DAG, chain, task
from airflow_provider_chefconsul import ConvergencePolicy, SetDesiredStateOperator, transitions

RELEASE = {{"release": "{{{{ params.release }}}}"}}
STEPS = {steps}

with DAG("{dag_id}", schedule=None, max_active_runs=1, params={{"release": "0"}}):
    {tasks}
"""
EMPTY = """chain(*(task(task_id=f"{tier}_{state}")(lambda: None)() for tier, state in STEPS))"""
SET_WITH_WAIT = """chain(*(
        SetDesiredStateOperator(
            task_id=f"{tier}_{state}", environment="demo", tier=tier, state=state, values=RELEASE,
            wait=ConvergencePolicy(),
        )
        for tier, state in STEPS
    ))"""
THREE_TASKS = """transitions("demo", STEPS, RELEASE, policy=ConvergencePolicy(), separate=True)"""
ONE_TASK = """transitions("demo", STEPS, RELEASE)"""
ONE_FOR_ALL = """transitions("demo", STEPS, RELEASE, one_task=True)"""


@dataclass(frozen=True, slots=True)
class DagRow:
    """A way to take the steps in a Dag.

    :param tasks: the Dag's body.
    :param settings: which of :data:`SETTINGS`.
    """

    name: str
    tasks: str
    settings: str = "tuned"


CORE = "no Airflow: the core in one process"
DAG_ROWS = {
    "empty": DagRow("seven empty tasks", EMPTY),
    "set_with_wait": DagRow("one task a transition: set with wait", SET_WITH_WAIT),
    "one_task": DagRow("one task a transition", ONE_TASK),
    "one_task_in_the_demo": DagRow("one task a transition", ONE_TASK, "the demo's"),
    "one_for_all": DagRow("one task for all", ONE_FOR_ALL),
    "three_tasks": DagRow("three tasks a transition", THREE_TASKS),
    "three_tasks_by_default": DagRow("three tasks a transition", THREE_TASKS, "Airflow's defaults"),
}
"""By Dag."""
COMMAND_ROWS = {
    "seven times `airflow chefconsul set --wait`": ("airflow", "chefconsul"),
    "seven times `chefconsul set --wait`": ("airflow_provider_chefconsul.cli.main",),
}
"""The command line's programs, each a module and its first arguments."""


class ProgramError(Exception):
    """A program failed."""


def measure(rounds: int, peers: Mapping[str, str]) -> dict[str, list[float]]:
    """The seconds of each row in each round."""
    with tempfile.TemporaryDirectory(prefix="transitions-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        directory = Path(name)
        port = stack.enter_context(_nodes(directory))
        core = [sys.executable, "-m", "benchmarks.core_rollout", str(port)]
        rows: dict[str, Callable[[str], float]] = {CORE: lambda release: _time([*core, release])}
        connection = {"AIRFLOW_CONN_CONSUL_DEFAULT": f"consul://127.0.0.1:{port}"}
        for row, program in COMMAND_ROWS.items():
            rows[row] = partial(_set_each, program, {"AIRFLOW_HOME": str(directory / "home"), **connection})
        for number, (settings, environment) in enumerate(SETTINGS.items()):
            dags = {
                dag_id: DAG.format(dag_id=dag_id, steps=STEPS, tasks=row.tasks)
                for dag_id, row in DAG_ROWS.items()
                if row.settings == settings
            }
            airflow = stack.enter_context(
                paused_airflow(directory / f"airflow-{number}", dags, {**environment, **connection})
            )
            rows |= {f"{DAG_ROWS[dag_id].name}, {settings}": partial(airflow.time, dag_id) for dag_id in dags}
        for peer, command in peers.items():
            rows[peer] = lambda _, command=command: _time(shlex.split(command))  # type: ignore[misc]
        seconds: dict[str, list[float]] = {row: [] for row in rows}
        for number in range(rounds + 1):
            for row, take in rows.items():
                took = take(f"{number} of {row}")
                if number:  # the first round only warms up
                    seconds[row].append(round(took, 3))
    return seconds


def _ratio(row: Sequence[float], reference: Sequence[float]) -> float:
    """The median over the rounds: what keeps the machine busy hits both rows of a round."""
    return round(statistics.median(one / other for one, other in zip(row, reference, strict=True)), 3)


def _set_each(program: Sequence[str], environment: Mapping[str, str], release: str) -> float:
    """Take the steps by a command each."""
    options = ["--value", f"release={release}", "--wait"]
    return sum(
        _time([sys.executable, "-m", *program, "set", ENVIRONMENT, tier, "--state", state, *options], environment)
        for tier, state in STEPS
    )


def _time(command: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        raise ProgramError(f"{shlex.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


@contextmanager
def _nodes(directory: Path) -> Iterator[int]:
    """Eight nodes on their agents; gives the port of Consul's server."""
    client = quick_nodes.QuickClient(directory / "pipes")
    with ConsulCluster(find_consul(), directory / "consul", in_memory=True) as cluster:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=quick_nodes.serve, args=(theirs, cluster.http_port, directory / "pipes", NODE_SECONDS)
        )
        process.start()
        theirs.close()  # so that its death is noticed
        try:
            assert ours.recv() == "ready"
            for tier, names in TIERS.items():
                for node in names:
                    add_node(cluster, directory / "nodes", node, tier, client)
            cluster.wait_until_ready()
            yield cluster.http_port
        finally:
            process.kill()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each row is measured")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="what else to compare with")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)
    peers = dict(each.split("=", 1) for each in options.peer)
    seconds = measure(options.rounds, peers)
    references = {"the core": CORE, **dict(zip(peers, peers, strict=True))}
    medians = {row: statistics.median(each) for row, each in seconds.items()}
    ratios = {
        row: {name: _ratio(each, seconds[reference]) for name, reference in references.items()}
        for row, each in seconds.items()
    }
    table = Table(title=f"Seven transitions, {len(STEPS) * NODE_SECONDS:g} s of them the nodes'")
    table.add_column("")
    for column in ("seconds", *(f"of {each}" for each in references)):
        table.add_column(column, justify="right")
    for row in sorted(medians, key=lambda each: medians[each]):
        table.add_row(row, *(f"{value:.2f}" for value in (medians[row], *ratios[row].values())))
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        row: {"median_seconds": medians[row], "ratios": ratios[row], "seconds": each} for row, each in seconds.items()
    }
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
