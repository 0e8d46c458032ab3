"""Dag runs that hold an environment, run by Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.leasing import build

pytestmark = pytest.mark.usefixtures("consul_connection")


@pytest.fixture
def other_run(cluster, consul_root):
    """Start a Dag run of another Airflow; its standard output tells how it goes."""
    started = []

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.dags.leasing", str(cluster.http_port), consul_root],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_second_run_waits_for_the_first(run_dag, consul_kv, other_run):
    """While the first run is between two writes, the second waits and says for whom; then it has its turn."""
    waiting = []

    def let_another_run_wait() -> None:
        process = other_run()
        waiting.append(process)
        for line in process.stdout:
            if "demo: waiting, held by" in line:
                waiting.append(line)
                return

    states = run_dag(build("first_rollout", release="2.5.0", pause=let_another_run_wait))
    assert set(states.values()) == {"success"}
    process, line = waiting
    output, _ = process.communicate(timeout=120)
    assert "held by Dag first_rollout, run manual__" in line
    assert ": bring it to 2.5.0" in line
    assert " since 20" in line
    assert set(json.loads(output.splitlines()[-1]).values()) == {"success"}, output
    history = [json.loads(consul_kv[key]) for key in sorted(consul_kv) if key.startswith("demo/_history/web/")]
    assert [(each["written_by"]["dag_id"], each["stable"]["values"]["release"]) for each in history] == [
        ("first_rollout", "2.5.0"),
        ("first_rollout", "2.5.0"),
        ("other_rollout", "2.6.0"),
        ("other_rollout", "2.6.0"),
    ]
    assert "demo/_lease" not in consul_kv
