"""Rolls several tiers back in reverse order, run by Airflow against real agents."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from demo.nodes import TIERS
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, pull_xcom

ORDER = ["db", "app", "web"]
POLICY = ConvergencePolicy(timeout=timedelta(minutes=5))


def upgrade(release: str) -> DAG:
    """Brings all tiers to a release at once."""
    with DAG("upgrade", schedule=None) as dag:
        SetDesiredStateOperator(
            task_id="set",
            environment="demo",
            tier=ORDER,
            state="converged",
            values={"release": release},
            wait=POLICY,
        )
    return dag


def roll_back(*, deferrable: bool) -> DAG:
    """Rolls all tiers back, front first."""
    with DAG("roll_back", schedule=None) as dag:
        RollBackOperator(task_id="roll_back", environment="demo", tier=ORDER, wait=POLICY, deferrable=deferrable)
    return dag


def indexes(fleet: Fleet, tier: str) -> tuple[int, list[int]]:
    """The ModifyIndex of a tier's desired state, and those of its reports."""
    _, entries = fleet.keys.client.kv.get(f"{DEFAULT_ROOT}/demo/{tier}/", recurse=True)
    found = {entry["Key"].rpartition("/")[2]: entry["ModifyIndex"] for entry in entries}
    return found.pop("desired"), list(found.values())


def test_tiers_go_back_one_after_the_other(fleet: Fleet, run_dag, monkeypatch):
    """The last tier first, each once the one after it has converged; blocking and deferred."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    connect(monkeypatch, fleet.cluster.http_port)
    for release in ("2.4.0", "2.5.0"):
        assert run_dag(upgrade(release))["run"] == "success"
    for generation, deferrable in ((3, False), (5, True)):
        assert run_dag(roll_back(deferrable=deferrable)) == {"run": "success", "roll_back": "success"}
        assert pull_xcom("roll_back", "roll_back") == dict.fromkeys(ORDER, generation)
        for tier in TIERS:
            assert fleet.assigned(tier) == {
                "generation": generation, "state": "converged", "values": {"release": "2.4.0"},
            }  # fmt: skip
            assert fleet.statuses(tier) == {"succeeded"}
        for earlier, later in (("web", "app"), ("app", "db")):
            assert max(indexes(fleet, earlier)[1]) < indexes(fleet, later)[0], f"{later} did not wait for {earlier}"
        assert run_dag(upgrade("2.5.0"))["run"] == "success"
