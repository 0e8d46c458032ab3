"""`make demo`: upgrade an environment of nine nodes with a real Airflow and a real Consul."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.testing.consul_agent import AgentError
from demo.chef_client import ChefError, find_chef
from demo.cluster import ClusterError, ConsulCluster
from demo.consul_binary import ConsulNotFoundError, find_consul
from demo.nodes import ENVIRONMENT, TIERS, SimulatedClient, add_node
from demo.standalone import AirflowError, AirflowStandalone
from demo.walkthrough import Walkthrough

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROJECT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the demo; 0 when the Dag run succeeded and every node ended converged."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop everything and exit at the end")
    options = parser.parse_args()
    console = Console(highlight=False)
    for signum in _ENDINGS:  # SIGINT too: a shell's background job starts with it ignored
        signal.signal(signum, _interrupt)
    try:
        with _own_directory(PROJECT / ".demo") as directory:
            return _run(directory, console, is_once=options.once)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    except _ENDS as error:
        console.print(Text.assemble(("The demo ended: ", "bold red"), str(error)), soft_wrap=True)
        return 1


class DemoError(Exception):
    """The demo cannot start."""


# What ends the demo with a sentence.
_ENDS = (DemoError, ChefError, ConsulNotFoundError, ClusterError, AgentError, AirflowError, ChefConsulError, OSError)


def _run(directory: Path, console: Console, *, is_once: bool) -> int:
    consul = find_consul()
    client = find_chef(directory / "store") or SimulatedClient()
    console.print(f"Consul: {consul}", soft_wrap=True)
    console.print(client.describe(), soft_wrap=True)
    # Airflow takes longest to start, so it starts first and is waited for last.
    with (
        AirflowStandalone(directory / "airflow", PROJECT / "dags", say=partial(_say, console)) as airflow,
        ConsulCluster(consul, directory / "consul", fast_failure_detection=True) as cluster,
    ):
        nodes = directory / "nodes"
        for tier, names in TIERS.items():
            for name in names:
                add_node(cluster, nodes, name, tier, client)
        cluster.wait_until_ready()
        console.print(
            f"Consul is up with {len(cluster.nodes)} nodes, its UI at http://127.0.0.1:{cluster.http_port}/ui/"
        )
        watch = f"AIRFLOW_HOME={airflow.home} AIRFLOW_CONN_CONSUL_DEFAULT=consul://127.0.0.1:{cluster.http_port}"
        console.print(
            f"Beside it: {watch} {Path(sys.executable).parent}/airflow chefconsul status {ENVIRONMENT} --watch",
            soft_wrap=True,
        )
        ended_well = asyncio.run(Walkthrough(cluster, airflow, console, nodes, client).run())
        console.print(f"Files and logs: {directory}", soft_wrap=True)
        if not is_once:
            console.print(f"Airflow: {airflow.url}, user admin, password {airflow.password}", soft_wrap=True)
            console.print("Ctrl-C stops everything.")
            with suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
    return 0 if ended_well else 1


def _say(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


@contextmanager
def _own_directory(directory: Path) -> Iterator[Path]:
    """An empty directory that no other demo uses meanwhile."""
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"another demo is running in {directory}; stop it first") from error
        for child in directory.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
        yield directory


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    for signum in _ENDINGS:  # a second Ctrl-C must not leave half of it running
        signal.signal(signum, signal.SIG_IGN)
    print("Stopping everything, this takes about 20 s at most.", file=sys.stderr)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
