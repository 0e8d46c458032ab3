"""Kills what a task rests on while it waits for the end of a freeze, on a real Airflow and a real Consul.

    python -m benchmarks.hold_kills [--trials 5] [--json FILE]

A deferred task waits because its tier is frozen. By turns a SIGKILL meets the triggerer, the API server and Consul's
server, each of which starts again; then the freeze ends. Exits with 1 when a Dag run fails, or the tier is not declared
exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.freeze import freeze, unfreeze
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.freeze import make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.writer import Writer
from benchmarks.transition_kills import wait_for
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.standalone import AirflowStandalone

ENVIRONMENT, TIER, DAG_ID = "bench", "web", "frozen"
BY = Writer("hold kills", "bench", "freeze")
DEFAULT_JSON = Path("build/benchmarks/hold_kills.json")
DAG = f'''
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_chefconsul import SetDesiredStateOperator
from airflow_provider_chefconsul.triggers import stoppable

stoppable.PATIENCE = timedelta(seconds=0.5)
with DAG("{DAG_ID}", schedule=None, params={{"release": "0"}}):
    SetDesiredStateOperator(
        task_id="declare", environment="{ENVIRONMENT}", tier="{TIER}", state="converged", allow_empty=True,
        values={{"release": "{{{{ params.release }}}}"}}, deferrable=True, retries=2, retry_delay=timedelta(seconds=30),
    )
'''


@dataclass(slots=True)
class Kills:
    """What trials came to.

    :param tries: of the task, over all trials.
    :param seconds: from the end of the freeze to the end of the Dag run, at most.
    """

    trials: int = 0
    tries: int = 0
    declared: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Bench:
    """An Airflow and a Consul, and what is killed of them."""

    def __init__(self, cluster: ConsulCluster, airflow: AirflowStandalone) -> None:
        self.cluster, self.airflow = cluster, airflow
        self._started: list[subprocess.Popen[bytes]] = []
        self._replaced: dict[str, psutil.Process] = {}

    def kill_component(self, name: str) -> None:
        """Kill a component of Airflow with its children, and start it again."""
        # Some rename their processes, such as "airflow api_server".
        victim = self._replaced.get(name) or self.airflow.find_component(name.replace("-", "_"))
        command = [str(Path(sys.executable).parent / "airflow"), name]
        for each in [*victim.children(recursive=True), victim]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs([victim], timeout=30)
        log = (self.airflow.home / f"{name}-{len(self._started)}.log").open("wb")
        with log:
            again = subprocess.Popen(
                command, env=self.airflow.environment, cwd=self.airflow.home, stdout=log, stderr=subprocess.STDOUT
            )
        self._started.append(again)
        self._replaced[name] = psutil.Process(again.pid)

    def kill_consul(self) -> None:
        """Kill Consul's only server, and start it again."""
        self.cluster.kill_server()
        time.sleep(2)
        self.cluster.restart_server()

    def stop(self) -> None:
        """End what was started here."""
        for each in self._replaced.values():
            with suppress(psutil.NoSuchProcess):
                for child in each.children(recursive=True):
                    child.kill()
                each.kill()
        for process in self._started:
            process.wait()

    async def freeze(self) -> None:
        """Freeze the tier."""
        async with ConsulClient(ConsulSettings("127.0.0.1", self.cluster.http_port)) as client:
            entry = make_freeze_entry(BY, "to be killed in", None, now=datetime.now(UTC))
            await freeze(SharedView(client), ENVIRONMENT, [TIER], entry)

    async def unfreeze(self) -> None:
        """End that."""
        async with ConsulClient(ConsulSettings("127.0.0.1", self.cluster.http_port)) as client:
            await unfreeze(SharedView(client), ENVIRONMENT, None, BY)

    async def declared(self, release: str) -> int:
        """How often the journal says that the release was declared."""
        async with ConsulClient(ConsulSettings("127.0.0.1", self.cluster.http_port)) as client:
            entries = await read_journal(SharedView(client), ENVIRONMENT)
        return sum(
            entry.act == JournalAct.DECLARED and entry.tiers[TIER].values == {"release": release} for entry in entries
        )


VICTIMS: dict[str, Callable[[Bench], None]] = {
    "triggerer": lambda bench: bench.kill_component("triggerer"),
    "API server": lambda bench: bench.kill_component("api-server"),
    "Consul's server": lambda bench: bench.kill_consul(),
}


def try_one(bench: Bench, victim: str, release: str, kills: Kills) -> None:
    """Freeze, trigger, kill once the task is deferred, end the freeze, and look at what came of it."""
    airflow = bench.airflow
    asyncio.run(bench.freeze())
    run_id = airflow.trigger(DAG_ID, {"release": release})
    wait_for(lambda: airflow.task_states(DAG_ID, run_id)["declare"] == "deferred", every=0.2)
    time.sleep(1)
    VICTIMS[victim](bench)
    time.sleep(3)
    asyncio.run(bench.unfreeze())
    began = time.monotonic()
    wait_for(lambda: _state(airflow, run_id) in {"success", "failed"}, every=0.5)
    kills.seconds = max(kills.seconds, round(time.monotonic() - began, 1))
    instance = airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/declare")
    declared = asyncio.run(bench.declared(release))
    kills.trials += 1
    kills.tries += instance["try_number"]
    kills.declared += declared
    if (_state(airflow, run_id), declared) != ("success", 1):
        kills.wrong.append(f"{run_id}: {_state(airflow, run_id)}, declared {declared} times")


def _state(airflow: AirflowStandalone, run_id: str) -> str:
    """The Dag run's state; empty while the API server is away."""
    try:
        return airflow.run_state(DAG_ID, run_id)
    except Exception:  # noqa: BLE001 - whatever its absence looks like
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.hold_kills", description=__doc__)
    parser.add_argument("--trials", type=int, default=5, help="for each victim")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON)
    options = parser.parse_args(arguments)
    found = {victim: Kills() for victim in VICTIMS}
    with tempfile.TemporaryDirectory(prefix="chefconsul-kills-") as directory:
        dags = Path(directory) / "dags"
        dags.mkdir()
        (dags / "frozen.py").write_text(DAG)
        airflow = AirflowStandalone(Path(directory) / "airflow", dags)
        airflow.environment.update(
            AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC="1", AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="4"
        )
        with ConsulCluster(find_consul(), Path(directory) / "consul") as cluster, airflow:
            airflow.wait_until_ready(DAG_ID)
            airflow.add_connection("consul_default", conn_type="consul", host="127.0.0.1", port=cluster.http_port)
            bench = Bench(cluster, airflow)
            try:
                for number in range(options.trials):
                    for victim, kills in found.items():
                        try_one(bench, victim, f"{number}.{len(victim)}", kills)
                        print(f"{number + 1}: {victim}: {kills.wrong[-1:] or 'fine so far'}", flush=True)
            finally:
                bench.stop()
    table = Table("killed", "trials", "tries", "declared", "slowest end")
    for victim, kills in found.items():
        table.add_row(victim, str(kills.trials), str(kills.tries), str(kills.declared), f"{kills.seconds:g} s")
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({name: asdict(each) for name, each in found.items()}, indent=1))
    return 0 if not any(each.wrong for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
