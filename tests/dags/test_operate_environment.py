"""The example Dag that operates an environment from Airflow's UI."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.dags.examples import load
from tests.support.airflow_home import make_context
from tests.support.factory import make_lease
from tests.support.follower import following

pytestmark = pytest.mark.usefixtures("consul_connection")
NODES = ["web-1", "web-2"]


@pytest.fixture
def tier(cluster, consul_root, consul_kv, members):
    """Two nodes that converged on 2.4.0; one of them is the canary of 2.5.0."""
    members(*NODES)
    with following(cluster.http_port, consul_root, [("demo", "web")], NODES):
        for release, canary in (("2.4.0", None), ("2.5.0", 1)):
            SetDesiredStateOperator(
                task_id=f"set_{release}", environment="demo", tier="web", state="converged",
                values={"release": release}, canary=canary, wait=ConvergencePolicy(),
            ).execute(make_context(task_id=f"set_{release}"))  # fmt: skip
        yield


def read(keys):
    """The tier's desired state."""
    return DesiredState.from_json("desired", keys["demo/web/desired"])


@pytest.mark.parametrize(
    ("action", "act", "release", "has_canary"),
    [
        ("freeze", "frozen", "2.4.0", True),
        ("unfreeze", "unfrozen", "2.4.0", True),
        ("promote", "promoted", "2.5.0", False),
        ("abort", "rolled_back", "2.4.0", False),
        ("roll back", "rolled_back", "2.4.0", False),
        ("break lease", "lease_broken", "2.4.0", True),
        ("audit", "converged", "2.4.0", True),
    ],
)
def test_action(run_dag, tier, consul_kv, action, act, release, has_canary):
    """It alone is done, and the journal names the person."""
    dag = load("operate_environment")
    if action == "unfreeze":
        assert run_dag(dag, action="freeze", environment="demo", tiers=["web"], reason="evening")["run"] == "success"
    if action == "break lease":
        consul_kv["demo/_lease"] = make_lease().to_json()
    states = run_dag(dag, action=action, environment="demo", tiers=["web"], reason="evening")
    done = {task for task, state in states.items() if state == "success"}
    assert done == {"run", "choose", action.replace(" ", "_")}
    desired = read(consul_kv)
    assert (desired.stable.values["release"], desired.canary is not None) == (release, has_canary)
    assert ("demo/_freeze" in consul_kv) is (action == "freeze")
    assert "demo/_lease" not in consul_kv
    entries = [json.loads(consul_kv[key]) for key in sorted(consul_kv) if "/_journal/" in key]
    assert entries[-1]["act"] == act
    told = [entry for entry in entries if entry["by"]["dag_id"] == dag.dag_id and entry["act"] != "converged"]
    assert all(entry["reason"].endswith("evening (triggered by dag_test)") for entry in told)
    assert bool(told) is (action != "audit")


@pytest.mark.parametrize(
    ("action", "tiers", "task", "said"),
    [
        ("freeze", None, "success", "demo/*: frozen by Dag operate_environment"),
        ("audit", None, "success", "; 2 of 2 members converged"),
        ("promote", None, "failed", "tier must"),
        ("freeze", ["wbe"], "failed", "environment demo has no tier wbe; there are: web"),
        (
            "promote",
            ["web", "app"],
            "failed",
            "demo/app: the tier has no desired state, so there is nothing to promote",
        ),
    ],
)
def test_tiers(run_dag, tier, consul_kv, capsys, action, tiers, task, said):
    """None is all of them where that has a meaning; elsewhere they must be named, and exist."""
    states = run_dag(load("operate_environment"), action=action, environment="demo", tiers=tiers, reason="evening")
    assert states[action] == task
    assert said in capsys.readouterr().out
    assert read(consul_kv).canary is not None
