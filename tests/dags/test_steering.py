"""The example of the page about steering, run by Airflow on real agents."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.cli.cli_parser import get_parser

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, make_context

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "steer.md").read_text()


def test_page(fleet: Fleet, run_dag, monkeypatch):
    """The broken release, which never converged, is taken back to the good one; the tier is frozen then."""
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[1], names)
    connect(monkeypatch, fleet.cluster.http_port)

    def declare(task_id, release, **options):
        before = {"environment": "demo", "tier": "web", "state": "converged", "values": {"release": release}}
        SetDesiredStateOperator(task_id=task_id, **before, **options).execute(make_context(task_id=task_id))

    declare("good", "7.1.0", wait=ConvergencePolicy())
    declare("broken", "7.2.0")
    states = run_dag(names["dag"])
    assert set(states.values()) == {"success"}
    assert fleet.assigned("web")["values"] == {"release": "7.1.0"}
    assert fleet.statuses("web") == {"succeeded"}
    assert '"rolled back, look at it first"' in fleet.keys["demo/_freeze"]
    del fleet.keys["demo/_freeze"]


def test_commands_of_the_page():
    """Airflow's own parser takes every line."""
    lines = re.findall(r"^airflow (chefconsul .*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        words = [one or other for one, other in re.findall(r'"([^"]*)"|(\S+)', line)]
        assert callable(get_parser().parse_args(words).func)
