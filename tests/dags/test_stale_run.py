"""Dag runs that come too late: a write with an earlier logical time than the current one is never made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.task_groups import rollout, transition
from tests.support.factory import make_desired

LAST_MONTH, STANDING = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("consul_connection")


@pytest.fixture
def current(consul_kv, members) -> dict[str, str]:
    """The web tier's keys, written for November."""
    members("web-1", "web-2")
    consul_kv["demo/web/desired"] = make_desired(7, sequence=int(STANDING.timestamp())).to_json()
    return dict(consul_kv)


def build(make_group) -> DAG:
    """A Dag of a group, with a task before it and one after it."""
    with DAG("late", schedule=None) as dag:
        EmptyOperator(task_id="before") >> make_group() >> EmptyOperator(task_id="after")
    return dag


def single(**options):
    """A single transition to an older release."""
    return transition("demo", "web", "converged", {"release": "2.4.0"}, command="true", **options)


def apart(**options):
    """The same in three tasks."""
    return single(separate=True, **options)


def in_waves(**options):
    """A rollout of an older release."""
    return rollout("demo", "web", "converged", {"release": "2.4.0"}, command="true", auto_revert=True, **options)


@pytest.mark.parametrize("make_group", [single, apart, in_waves])
def test_stale_run_fails(run_dag, consul_kv, current, capsys, make_group):
    """By default; it says what it lost to, and nothing is written, neither by the rollout nor by its revert."""
    states = run_dag(build(make_group), logical_date=LAST_MONTH)
    assert states["run"] == "failed"
    assert set(states.values()) <= {"failed", "upstream_failed", "success", "skipped"}
    assert [task for task, state in states.items() if state == "success"] == ["before"]
    assert states["after"] == "upstream_failed"
    assert dict(consul_kv) == current
    printed = capsys.readouterr().out
    assert "demo/web: the write is stale: it belongs to sequence 2026-10-01T00:00:00Z" in printed
    assert (
        "generation 7 of sequence 2026-11-01T00:00:00Z was already written by Dag shop_rollout, run manual__1"
        in printed
    )


@pytest.mark.parametrize("make_group", [single, apart, in_waves])
def test_stale_run_is_skipped(run_dag, consul_kv, current, make_group):
    """With on_stale="skip" the write, all that follows it and the revert are skipped, and the Dag run succeeds."""
    states = run_dag(build(lambda: make_group(on_stale="skip")), logical_date=LAST_MONTH)
    assert states.pop("run") == "success"
    assert states.pop("before") == "success"
    assert set(states.values()) == {"skipped"}
    assert dict(consul_kv) == current


def test_later_run_writes(run_dag, consul_kv, current):
    """A run of a later logical date is not stale, and neither is one of the same."""
    with DAG("in_time", schedule=None) as dag:
        SetDesiredStateOperator(
            task_id="set", environment="demo", tier="web", state="converged", values={"release": "{{ ts }}"}
        )
    assert run_dag(dag, logical_date=STANDING)["run"] == "success"
    assert run_dag(dag, logical_date=LAST_MONTH)["run"] == "failed"
    assert run_dag(dag, logical_date=datetime(2026, 11, 2, tzinfo=UTC))["run"] == "success"
    assert [key for key in consul_kv if "_history" in key] == [
        "demo/_history/web/000000000008", "demo/_history/web/000000000009",
    ]  # fmt: skip
