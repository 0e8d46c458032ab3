"""Kills a transition at each of its seams on a real Airflow, and counts generations, tries and the nodes' runs.

    python -m benchmarks.transition_kills [--trials 20] [--json FILE]

Three nodes on real agents, which only a nudge starts. By turns a SIGKILL meets the task's process as soon as Consul has
its write, as soon as the first node runs, and once all nodes run; and the triggerer's process while the nodes run.
Exits with 1 when a Dag run fails, a generation is made twice, or a node runs the command more or less than once.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import consul
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.event_delivery import Triggerer
from demo.chef_nodes import ChefNodes
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.standalone import AirflowStandalone

ENVIRONMENT, TIER = "bench", "web"
NODES = ("web-1", "web-2", "web-3")
RUN_SECONDS = 2.0  # of a node, long enough to be killed in
PATIENCE = 180.0  # seconds
DEFAULT_JSON = Path("build/benchmarks/transition_kills.json")
TASK = re.compile(r"airflow worker -- [0-9a-f]{8}-")  # what Airflow calls the process in which a task runs
DAG = f'''
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_chefconsul import TransitionOperator
from airflow_provider_chefconsul.triggers import stoppable

stoppable.PATIENCE = timedelta(seconds=0.5)
for name in ("blocking", "deferred"):
    retrying = {{"retries": 3, "retry_delay": timedelta(0)}}
    with DAG(name, schedule=None, params={{"release": "0"}}, default_args=retrying):
        TransitionOperator(
            task_id="move", environment="{ENVIRONMENT}", tier="{TIER}", state="converged",
            values={{"release": "{{{{ params.release }}}}"}}, deferrable=name == "deferred",
            nudge_after=timedelta(seconds=0.2),
        )
'''


@dataclass(slots=True)
class Seam:
    """What trials at one seam came to.

    :param tries: of the task, over all trials.
    :param missed: kills that came too late to meet anything.
    :param wrong: trials that failed, or had a generation or a run of a node too many or too few.
    """

    trials: int = 0
    tries: int = 0
    missed: int = 0
    failed_runs: int = 0
    generations: int = 0
    runs: int = 0
    wrong: list[str] = field(default_factory=list)


class Bench:
    """The nodes, the Airflow, and the view of both."""

    def __init__(self, nodes: ChefNodes, airflow: AirflowStandalone) -> None:
        self.nodes = nodes
        self.airflow = airflow
        self.triggerer = Triggerer(airflow)
        self._consul = consul.Consul(host="127.0.0.1", port=nodes.cluster.http_port)

    def generation(self) -> int:
        """The generation that Consul has."""
        _, found = self._consul.kv.get(f"chefconsul/{ENVIRONMENT}/{TIER}/desired")
        return int(json.loads(found["Value"])["generation"]) if found else 0

    def running(self) -> int:
        """How many nodes have run."""
        return sum(self.nodes.runs(node) > 0 for node in NODES)

    def kill_task(self) -> bool:
        """Kill the process in which a task runs; False when there is none."""
        for process in self.airflow.find_component("scheduler").children(recursive=True):
            with suppress(psutil.Error):
                if TASK.match(" ".join(process.cmdline())):
                    process.kill()
                    return True
        return False

    def kill_trigger(self, dag_id: str, run_id: str) -> bool:
        """Kill the process in which triggers run, once the task is deferred; a new triggerer starts at once."""
        wait_for(lambda: self.airflow.task_states(dag_id, run_id)["move"] == "deferred")
        time.sleep(0.5)
        self.triggerer.kill(only_runner=False)
        return True


SEAMS: dict[str, tuple[str, Callable[[Bench, int], bool]]] = {
    "worker, once Consul has the write": ("blocking", lambda bench, before: bench.generation() > before),
    "worker, once a node runs": ("blocking", lambda bench, _: bench.running() > 0),
    "worker, once all nodes run": ("blocking", lambda bench, _: bench.running() == len(NODES)),
    "worker of a deferrable task, once a node runs": ("deferred", lambda bench, _: bench.running() > 0),
    "triggerer, while nodes run": ("deferred", lambda bench, _: bench.running() == len(NODES)),
}
"""By name, the Dag, and when to kill."""


def wait_for(holds: Callable[[], bool], *, every: float = 0.002) -> None:
    """Wait until something holds.

    :raises TimeoutError: it does not.
    """
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError("what the benchmark waits for did not come")
        time.sleep(every)


def try_seam(bench: Bench, name: str, release: str, seam: Seam) -> None:
    """One trial: trigger, kill, and look at what came of it."""
    dag_id, is_due = SEAMS[name]
    bench.nodes.begin(ENVIRONMENT)
    for node in NODES:
        bench.nodes.set_options(node, f"--seconds {RUN_SECONDS if dag_id == 'blocking' else 3 * RUN_SECONDS}")
    before = bench.generation()
    run_id = bench.airflow.trigger(dag_id, {"release": release})
    wait_for(lambda: is_due(bench, before))
    is_hit = bench.kill_trigger(dag_id, run_id) if name.startswith("triggerer") else bench.kill_task()
    wait_for(lambda: bench.airflow.run_state(dag_id, run_id) in {"success", "failed"}, every=0.3)
    state = bench.airflow.run_state(dag_id, run_id)
    instance = bench.airflow.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/move")
    runs = [bench.nodes.runs(node) for node in NODES]
    made = bench.generation() - before
    seam.trials += 1
    seam.tries += instance["try_number"]
    seam.missed += not is_hit
    seam.failed_runs += state != "success"
    seam.generations += made
    seam.runs += sum(runs)
    if (state, made, runs) != ("success", 1, [1] * len(NODES)):
        seam.wrong.append(f"{run_id}: {state}, {made} generations, runs {runs}, try {instance['try_number']}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.transition_kills", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="at each seam")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON)
    options = parser.parse_args(arguments)
    seams = {name: Seam() for name in SEAMS}
    with tempfile.TemporaryDirectory(prefix="chefconsul-kills-") as directory:
        home, dags = Path(directory) / "airflow", Path(directory) / "dags"
        dags.mkdir()
        (dags / "kills.py").write_text(DAG)
        airflow = AirflowStandalone(home, dags)
        airflow.environment.update(
            AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC="1", AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="4"
        )
        with ConsulCluster(find_consul(), Path(directory) / "consul") as cluster, airflow:
            nodes = ChefNodes(cluster, Path(directory))
            for node in NODES:
                nodes.add(node, TIER)
            cluster.wait_until_ready()
            airflow.wait_until_ready("deferred")
            airflow.add_connection("consul_default", conn_type="consul", host="127.0.0.1", port=cluster.http_port)
            bench = Bench(nodes, airflow)
            try:
                for number in range(options.trials):
                    for name, seam in seams.items():
                        try_seam(bench, name, f"{number}.{len(name)}", seam)
                        print(f"{number + 1}: {name}: {seam.wrong[-1:] or 'fine so far'}", flush=True)
            finally:
                bench.triggerer.stop()
    table = Table("killed", "trials", "tries", "missed", "failed", "generations", "runs of a node")
    for name, seam in seams.items():
        runs = f"{seam.runs / (seam.trials * len(NODES)):g}"
        figures = (seam.trials, seam.tries, seam.missed, seam.failed_runs, seam.generations)
        table.add_row(name, *map(str, figures), runs)
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({name: asdict(seam) for name, seam in seams.items()}, indent=1))
    return 0 if not any(seam.wrong for seam in seams.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
