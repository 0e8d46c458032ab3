"""The example Dag, run by Airflow against real agents and a real Prometheus."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, make_context, pull_xcom


@pytest.fixture
def web(fleet: Fleet, monkeypatch) -> Fleet:
    """The web tier has converged at release 2.5.0."""
    connect(monkeypatch, fleet.cluster.http_port)
    SetDesiredStateOperator(
        task_id="before",
        environment="demo",
        tier="web",
        state="converged",
        values={"release": "2.5.0"},
        sequence=1,
        wait=ConvergencePolicy(),
    ).execute(make_context())
    return fleet


@pytest.fixture
def dag(monkeypatch):
    """The Dag, whose gates measure within a second, in the triggerer as they would for minutes."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    dag = load("canary_with_metrics")
    gates = [task for task in dag.tasks if isinstance(task, MetricGateOperator)]
    assert [task.task_id for task in gates] == [f"web_converged.gate_{number}.error_rate" for number in (2, 3)]
    for task in gates:
        task.analysis = replace(task.analysis, interval=timedelta(seconds=0.1), initial_delay=timedelta(seconds=0.1))
    return dag


def serve(metrics, release: str, *, good: float, bad: float | None) -> None:
    """Let a release answer requests, some of them with errors; one without errors has no series of them."""
    for code, rate in (("200", good), ("503", bad)):
        if rate is not None:
            metrics.count(f'http_requests_total{{tier="web", release="{release}", code="{code}"}}', rate)


def test_good_release_goes_to_all(web: Fleet, prometheus_connection, run_dag, dag):
    """Each gate takes its five measurements."""
    serve(prometheus_connection, "2.6.1", good=100, bad=None)
    states = run_dag(dag, release="2.6.1")
    assert {state for task, state in states.items() if not task.endswith(".check_end") and ".revert." not in task} == {
        "success"
    }
    assert web.assigned("web")["values"] == {"release": "2.6.1"}
    for number in (2, 3):
        measured = pull_xcom("canary_with_metrics", f"web_converged.gate_{number}.error_rate")
        assert [(each["assessment"], each["value"]) for each in measured] == [("successful", "0")] * 5


def test_bad_release_is_rolled_back(web: Fleet, prometheus_connection, run_dag, dag, capsys):
    """By the first gate, at the second measurement; the log says what was measured, and the retry is not used."""
    serve(prometheus_connection, "2.6.2", good=90, bad=10)
    states = run_dag(dag, release="2.6.2")
    assert {task: state for task, state in states.items() if state != "success"} == {
        "run": "failed",
        "web_converged.gate_2.error_rate": "failed",
        "web_converged.wave_2": "upstream_failed",
        "web_converged.gate_3.error_rate": "upstream_failed",
        "web_converged.wave_3": "upstream_failed",
        "web_converged.check_end": "skipped",
        "web_converged.end": "upstream_failed",
    }
    assert web.desired("web")["canary"] is None
    assert web.assigned("web")["values"] == {"release": "2.5.0"}
    printed = capsys.readouterr().out
    assert "2 of 2 measurements failed, more than failure_limit=1; the last one: 0." in printed
    assert "measurement 2 of 5, as of 20" in printed


def test_silent_release_is_rolled_back(web: Fleet, prometheus_connection, run_dag, dag, capsys):
    """One that answers no request proves nothing."""
    states = run_dag(dag, release="2.6.3")
    assert states["web_converged.gate_2.error_rate"] == "failed"
    assert web.assigned("web")["values"] == {"release": "2.5.0"}
    assert "measurements were inconclusive, more than inconclusive_limit=1; the last one: the query yields no data" in (
        capsys.readouterr().out
    )
