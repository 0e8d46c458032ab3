"""Writes many generations while the triggerer is killed again and again, and counts the events that Airflow has.

    python -m benchmarks.event_delivery [--generations 100] [--kills 6] [--json FILE]

A real Airflow, a real Consul, and a Dag that an asset of DesiredStateChangedTrigger starts. Each kill is a SIGKILL: by
turns of the whole triggerer at a random moment, of the whole triggerer as soon as a further event stands in Airflow's
database, and of the process in which its triggers run. A new triggerer is started at once. Exits with 1 when an event
is lost or doubled, or is not in exactly one Dag run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.change import Change
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.standalone import AirflowStandalone

DAG_ID = "on_change"
ENVIRONMENT, TIER = "bench", "web"
PAUSE = (0.5, 4.5)  # seconds between two generations
UNTOLD = 30  # generations at most; the history keeps 50, and what was pushed out of it cannot be told
PATIENCE = 180.0  # seconds for what is left after the last one
DEFAULT_JSON = Path("build/benchmarks/event_delivery.json")
DAG = f'''
from airflow.sdk import DAG, task
from airflow_provider_chefconsul.assets import desired_state_changed

with DAG("{DAG_ID}", schedule=[desired_state_changed("{ENVIRONMENT}", "{TIER}")], max_active_runs=4) as dag:
    @task
    def take(triggering_asset_events=None):
        return [event.extra["payload"]["key"] for events in triggering_asset_events.values() for event in events]
    take()
'''


@dataclass(slots=True)
class Figures:
    """What came of it.

    :param kills: by what was killed, how often.
    :param runs: Dag runs that the events started; several events may start one.
    :param lost: generations without an event.
    :param doubled: generations with more than one.
    :param unlisted: events that no Dag run lists among those that started it.
    :param listed_twice: events that more than one lists.
    """

    generations: int
    kills: dict[str, int] = field(default_factory=dict)
    events: int = 0
    runs: int = 0
    failed_runs: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    unlisted: int = 0
    listed_twice: int = 0
    triggerer_deaths: int = 0
    seconds: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether each generation was told just once."""
        return not (self.lost or self.doubled or self.unlisted or self.listed_twice)


class Triggerer:
    """The triggerer of an Airflow: killed, and started again."""

    def __init__(self, airflow: AirflowStandalone) -> None:
        self._airflow = airflow
        self._process = airflow.find_component("triggerer")
        self._own: list[subprocess.Popen[bytes]] = []
        self.deaths = 0

    def kill(self, *, only_runner: bool) -> None:
        """End the whole, or the process in which triggers run, after which the whole exits by itself."""
        victims = self._process.children(recursive=True)
        if not only_runner:
            victims.insert(0, self._process)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
        self._reap()

    def ensure(self) -> None:
        """Start it again when it has died by itself, which a busy SQLite can bring about."""
        if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
            self.deaths += 1
            self._reap()

    def stop(self) -> None:
        """End what was started here."""
        with suppress(psutil.NoSuchProcess):
            for child in self._process.children(recursive=True):
                child.kill()
        for each in self._own:
            each.kill()
            each.wait()

    def _reap(self) -> None:
        gone = time.monotonic() + 30
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < gone, "the triggerer does not end"
            time.sleep(0.1)
        log = (self._airflow.home / f"triggerer-{len(self._own)}.log").open("wb")
        command = [str(Path(sys.executable).parent / "airflow"), "triggerer"]
        with log:
            started = subprocess.Popen(
                command, env=self._airflow.environment, cwd=self._airflow.home, stdout=log, stderr=subprocess.STDOUT
            )
        self._own.append(started)
        self._process = psutil.Process(started.pid)


def keys_in_database(home: Path) -> list[str]:
    """The keys of the events that Airflow's database holds."""
    with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True, timeout=20)) as database:
        rows = database.execute("select extra from asset_event order by id").fetchall()
    return [json.loads(extra)["payload"]["key"] for (extra,) in rows]


def wait_for_watcher(home: Path) -> None:
    """Wait until the watcher has stored where it begins: what stood before gives no event."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True, timeout=20)) as database:
            if database.execute("select count(*) from asset_state_store").fetchone()[0]:
                return
        time.sleep(0.5)
    raise TimeoutError("the watcher has not begun")


async def write_many(view: SharedView, home: Path, count: int) -> None:
    """Write so many generations, one after the other, and wait while too many are not told."""
    for number in range(count):
        while number - len(keys_in_database(home)) >= UNTOLD:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        values = {"release": f"2.5.{number}"}
        change = Change(state="converged", values=values, writer=Writer("bench", "run", "write"))
        await write(view, ENVIRONMENT, {TIER: change})
        await asyncio.sleep(random.uniform(*PAUSE))


async def kill_again_and_again(triggerer: Triggerer, home: Path, figures: Figures, kills: int) -> None:
    """Kill in each of the ways by turns, whenever events have begun to come."""
    ways = ("at random", "after an event", "its runner")
    for number in range(kills):
        way = ways[number % len(ways)]
        for _ in range(random.randint(2, 6)):
            await further_event(home)
        if way == "after an event":
            await further_event(home)
        else:
            await asyncio.sleep(random.uniform(0, 4))
        await asyncio.to_thread(triggerer.kill, only_runner=way == "its runner")
        figures.kills[way] = figures.kills.get(way, 0) + 1
        print(f"killed {way}; {len(keys_in_database(home))} events so far", flush=True)


async def further_event(home: Path) -> None:
    """Wait until Airflow's database holds one more event."""
    before, give_up = len(keys_in_database(home)), time.monotonic() + PATIENCE
    while len(keys_in_database(home)) == before and time.monotonic() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def run(airflow: AirflowStandalone, consul_port: int, generations: int, kills: int) -> Figures:
    """Write, kill, wait for what is left, and count."""
    figures = Figures(generations)
    triggerer = Triggerer(airflow)
    began = time.monotonic()
    try:
        async with ConsulClient(ConsulSettings("127.0.0.1", consul_port)) as client:
            writing = asyncio.create_task(write_many(SharedView(client), airflow.home, generations))
            killing = asyncio.create_task(kill_again_and_again(triggerer, airflow.home, figures, kills))
            await asyncio.gather(writing, killing)
        give_up = time.monotonic() + PATIENCE
        while len(set(keys_in_database(airflow.home))) < generations and time.monotonic() < give_up:
            await asyncio.sleep(1)
            triggerer.ensure()
        await asyncio.sleep(15)  # for what might come twice
        figures.triggerer_deaths = triggerer.deaths
        figures.seconds = time.monotonic() - began
        count(airflow, figures)
    finally:
        triggerer.stop()
    return figures


def count(airflow: AirflowStandalone, figures: Figures) -> None:
    """Compare what Airflow has with what was written."""
    told = Counter(int(key.rpartition("@")[2]) for key in keys_in_database(airflow.home))
    figures.events = told.total()
    figures.lost = sorted(set(range(1, figures.generations + 1)) - told.keys())
    figures.doubled = sorted(generation for generation, times in told.items() if times > 1)
    runs: list[dict[str, Any]] = []
    give_up = time.monotonic() + PATIENCE
    while figures.events and time.monotonic() < give_up:
        runs = airflow.request("GET", f"/dags/{DAG_ID}/dagRuns?limit=200")["dag_runs"]
        if runs and all(each["state"] in {"success", "failed"} for each in runs):
            break
        time.sleep(1)
    figures.runs = len(runs)
    figures.failed_runs = sum(each["state"] == "failed" for each in runs)
    consumed: Counter[int] = Counter()
    for each in runs:
        path = f"/dags/{DAG_ID}/dagRuns/{each['dag_run_id']}/upstreamAssetEvents"
        consumed.update(event["id"] for event in airflow.request("GET", path)["asset_events"])
    figures.unlisted = figures.events - len(consumed)
    figures.listed_twice = sum(times > 1 for times in consumed.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.event_delivery", description=__doc__)
    parser.add_argument("--generations", type=int, default=100)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON)
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(prefix="chefconsul-events-") as directory:
        home, dags = Path(directory) / "airflow", Path(directory) / "dags"
        dags.mkdir()
        (dags / "on_change.py").write_text(DAG)
        airflow = AirflowStandalone(home, dags)
        # A dead triggerer's triggers are given to the next one after this time, which is 30 s by default.
        airflow.environment.update(
            AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC="1", AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="4"
        )
        with ConsulCluster(find_consul(), Path(directory) / "consul") as cluster, airflow:
            airflow.wait_until_ready(DAG_ID)
            connection = {"conn_type": "consul", "host": "127.0.0.1", "port": cluster.http_port}
            airflow.add_connection("consul_default", **connection)
            airflow.request("PATCH", f"/dags/{DAG_ID}", {"is_paused": False})
            wait_for_watcher(home)
            figures = asyncio.run(run(airflow, cluster.http_port, options.generations, options.kills))
            if not figures.is_exact and (keep := os.environ.get("KEEP_LOGS")):
                subprocess.run(["cp", "-r", home, keep], check=True)
    print(json.dumps(asdict(figures), indent=1))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(figures), indent=1))
    return 0 if figures.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
