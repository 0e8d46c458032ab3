"""The example of the page about change windows, run by Airflow on real agents."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_chefconsul.cli.argument import parse_wave_takes, parse_window
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, make_context
from tests.support.clock import set_clock

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "windows.md").read_text()


def test_each_wave_waits_for_the_window(fleet: Fleet, run_dag, monkeypatch, capsys):
    """The first until Monday, and says what the page shows; the second, whose turn comes after hours, until Tuesday."""
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[1], names)
    dag = names["dag"]
    connect(monkeypatch, fleet.cluster.http_port)
    before = {"environment": "demo", "tier": "web", "state": "converged", "values": {"release": "2.4.0"}}
    SetDesiredStateOperator(task_id="before", sequence=1, wait=ConvergencePolicy(), **before).execute(make_context())
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.window._LOOK", 0.01)
    set_clock(monkeypatch, "2026-11-29T12:00:00+01:00", leap=timedelta(hours=1))
    dag.get_task("web_converged.wave_1").on_success_callback = [
        lambda _: set_clock(monkeypatch, "2026-11-30T17:00:00+01:00", leap=timedelta(hours=1))
    ]
    states = run_dag(dag, release="3.0.0")
    assert set(states.values()) == {"success"}
    assert fleet.statuses("web") == {"succeeded"}
    printed = capsys.readouterr().out
    monday = re.search(r"^demo: outside the change window .*$", PAGE, flags=re.MULTILINE)[0]
    assert printed.count(monday) == 1
    assert printed.count("is open again from 2026-12-01 09:00 CET to 2026-12-01 16:00 CET") == 1


def test_command_of_the_page_is_understood():
    """Airflow's own parser takes it, and so do the readers of its options."""
    from airflow.cli.cli_parser import get_parser

    (line,) = re.findall(r"^airflow (chefconsul .*)$", PAGE.replace("\\\n", ""), flags=re.MULTILINE)
    args = get_parser().parse_args(shlex.split(line))
    window = parse_window(args)
    assert window is not None
    assert window.on_clock(window.next_opening(datetime(2026, 12, 24, tzinfo=UTC))) == "2026-12-25 09:00 CET"
    assert parse_wave_takes(args) == timedelta(hours=4)
