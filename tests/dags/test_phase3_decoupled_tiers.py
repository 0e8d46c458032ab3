"""The example Dag, run by Airflow against real agents."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from demo.nodes import TIERS
from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, make_context


@pytest.fixture
def upgraded_before(fleet: Fleet, monkeypatch) -> Fleet:
    """All tiers have converged at release 2.5.0."""
    connect(monkeypatch, fleet.cluster.http_port)
    SetDesiredStateOperator(
        task_id="before",
        environment="demo",
        tier=list(TIERS),
        state="converged",
        values={"release": "2.5.0"},
        sequence=1,
        wait=ConvergencePolicy(),
    ).execute(make_context())
    return fleet


@pytest.fixture
def dag():
    """The Dag; its health gates must hold for a moment only."""
    dag = load("phase3_decoupled_tiers")
    waves = [task for task in dag.tasks if isinstance(task, TransitionOperator)]
    assert len(waves) == 3 * len(TIERS)
    for task in waves:
        assert task.policy.min_healthy_time > timedelta(0)
        task.policy = replace(task.policy, min_healthy_time=timedelta(seconds=0.1))
    return dag


def release_of(fleet: Fleet, tier: str) -> str:
    """What all nodes of a tier are assigned."""
    assert fleet.desired(tier)["canary"] is None
    return fleet.desired(tier)["stable"]["values"]["release"]


def test_no_tier_waits_for_another(dag):
    """No task of a tier has one of another tier before it."""
    for task in dag.tasks:
        assert {each.partition("_")[0] for each in task.upstream_task_ids} <= {task.task_id.partition("_")[0]}


def test_all_tiers_go_through_their_waves(upgraded_before: Fleet, run_dag, dag):
    """None is turned off for that."""
    states = run_dag(dag, release="2.6.0")
    assert {state for task, state in states.items() if ".revert." not in task} == {"success"}
    for tier in TIERS:
        assert release_of(upgraded_before, tier) == "2.6.0"
        assert upgraded_before.statuses(tier) == {"succeeded"}
        assert upgraded_before.states_written(tier) == ["converged"] * 2


def test_web_goes_ahead_while_the_database_has_not_caught_up(upgraded_before: Fleet, run_dag, dag, tmp_path):
    """The database fails in its first wave and goes back to what it had; web and app have the new release."""
    for node in TIERS["db"]:
        (tmp_path / "nodes" / node / "faults").write_text("--fail")
    states = run_dag(dag, release="2.6.0")
    assert states["run"] == "failed"
    assert {tier: states[f"{tier}_converged.end"] for tier in TIERS} == {
        "web": "success", "app": "success", "db": "upstream_failed",
    }  # fmt: skip
    assert {tier: release_of(upgraded_before, tier) for tier in TIERS} == {
        "web": "2.6.0", "app": "2.6.0", "db": "2.5.0",
    }  # fmt: skip
    for tier in ("web", "app"):
        assert upgraded_before.statuses(tier) == {"succeeded"}
    assert all(set(upgraded_before.states_written(tier)) == {"converged"} for tier in TIERS)
