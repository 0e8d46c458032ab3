"""What an older version stored in Airflow's database: tasks that were deferred before an upgrade resume after it.

The arguments and payloads are copied from that version's ``serialize()`` and ``run()``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator, SSHChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_desired, make_lease, make_report

HOLDER = {"dag_id": "shop_rollout", "run_id": "manual__1"}
TIER = {"environment": "demo", "tier": "web"}
SHORT = ConvergencePolicy(timeout=timedelta(seconds=20))

WAIT = {
    "generation": 7,
    "deadline": "2026-11-22T08:10:00+00:00",
    "failures_after": 5,
    "others": [],
    "ids": [],
    "seen_members": ["web-1", "web-2", "web-3"],
    "seen_alive": ["web-1", "web-2", "web-3"],
    "seen_converged": ["web-1"],
    "still_converged": ["web-1"],
    "progressed_at": "2026-11-22T08:00:00+00:00",
    "holding_since": None,
}
POLICY = {
    "min_converged": "100%",
    "max_failed": 0,
    "max_lost": 0,
    "max_absent": "10%",
    "min_members": 1,
    "min_healthy_time": 0.0,
    "progress_deadline": None,
    "timeout": 1800.0,
}
JOB = {
    "consul_conn_id": "consul_default",
    "command": "chef-client",
    "nodes": ["web-1", "web-2"],
    "job_id": "7f0c",
    "deadline": "2026-11-22T08:30:00+00:00",
    "max_parallel": 2,
    "lease": {"environment": "demo", **HOLDER},
    "results": {
        "web-1": {"node": "web-1", "outcome": "exited", "exit_code": 3, "output": "no space left", "reason": ""},
    },
}
NEW_JOB = {name: value for name, value in JOB.items() if name != "lease"}
NEW_JOB |= {"environment": "demo", "holder": HOLDER, "begun": None}
CONVERGED = {
    "consul_conn_id": "consul_default",
    "environment": "demo",
    "waits": {"web": WAIT},
    "policy": POLICY,
    "members": "service",
    "holder": HOLDER,
}
LEASE = {
    "consul_conn_id": "consul_default",
    "environment": "demo",
    **HOLDER,
    "ttl": 900.0,
    "reason": "upgrade to 2.5.0",
    "deadline": "2026-11-22T09:00:00+00:00",
}
NEW_LEASE = {name: value for name, value in LEASE.items() if name not in HOLDER} | {"holder": HOLDER, "writer": None}
APPROVAL = {
    "ti_id": UUID("01999999-0000-7000-8000-000000000001"),
    "options": ["Approve", "Reject"],
    "defaults": ["Reject"],
    "params": {},
    "multiple": False,
    "timeout_datetime": datetime(2026, 11, 22, 9, 0, tzinfo=UTC),
    "poke_interval": 2.0,
    "consul_conn_id": "consul_default",
    "environment": "demo",
    "holder": HOLDER,
}
METRIC_GATE = {
    "consul_conn_id": "consul_default",
    "environment": "demo",
    "holder": HOLDER,
    "prometheus_conn_id": "prometheus_default",
    "query": "sum(rate(errors[1m]))",
    "condition": "< 0.01",
    "analysis": {
        "count": 5, "interval": 60.0, "initial_delay": 120.0, "failure_limit": 2, "inconclusive_limit": 1,
    },
    "begun_at": "2026-11-22T08:00:00+00:00",
    "consecutive_error_limit": 4,
    "timeout": 30.0,
}  # fmt: skip
CHANGED = {"environment": "demo", "tier": ["web"], "consul_conn_id": "consul_eu"}
TIER_CONVERGED = {
    "environment": "demo",
    "tier": ["db", "web"],
    "consul_conn_id": "consul_default",
    "state": "off",
    "policy": POLICY,
    "members": "meta:tier=web",
}
WINDOW = {
    "consul_conn_id": "consul_default",
    "environment": "demo",
    "holder": HOLDER,
    "window": {
        "hours": ["Mon-Thu 09:00-16:00", "Fri 22:00-02:00"],
        "timezone": "Europe/Berlin",
        "holidays": ["2026-12-24", "2026-12-25"],
    },
}
FROZEN = {"consul_conn_id": "consul_default", "environment": "demo", "holder": HOLDER, "tiers": ["web"]}
# By the path of the class, what was stored, and how it is stored today.
STORED = [
    (
        "converged.ConvergedTrigger",
        CONVERGED,
        CONVERGED | {"waits": {"web": WAIT | {"begun_at": 0}}, "writer": None, "wave": None, "begun": None},
    ),
    (
        "remote_exec.RemoteExecTrigger",
        {**JOB, "prefix_per_node": "rexec-node"},
        {**NEW_JOB, "prefix_per_node": "rexec-node"},
    ),
    ("ssh_chef.SSHChefTrigger", {**JOB, "ssh_conn_id": "ssh_fleet"}, {**NEW_JOB, "ssh_conn_id": "ssh_fleet"}),
    ("lease.LeaseTrigger", LEASE, NEW_LEASE),
    ("approval.ApprovalTrigger", APPROVAL, APPROVAL | {"rollout": None}),
    ("metric_gate.MetricGateTrigger", METRIC_GATE, METRIC_GATE | {"rollouts": {}}),
    ("event.DesiredStateChangedTrigger", CHANGED, CHANGED),
    ("event.TierConvergedTrigger", TIER_CONVERGED, TIER_CONVERGED),
    ("window.WindowTrigger", WINDOW, WINDOW | {"rollouts": {}}),
    ("frozen.FrozenTrigger", FROZEN, FROZEN | {"rollouts": {}}),
]


def load(path: str, kwargs: dict[str, Any]) -> Any:
    """The trigger that a triggerer makes of what is stored."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"airflow_provider_chefconsul.triggers.{module}"), name)(**kwargs)


@pytest.mark.parametrize(("path", "before", "now"), STORED, ids=[path for path, _, _ in STORED])
def test_stored_arguments(path, before, now):
    """The class is where it was, takes them, and means the same by them; so does what it stores itself."""
    for kwargs in (before, now):
        assert load(path, kwargs).serialize() == (f"airflow_provider_chefconsul.triggers.{path}", now)


def test_nudge_that_renewed_no_lease():
    """It still renews none."""
    trigger = load("remote_exec.RemoteExecTrigger", {**JOB, "lease": None, "prefix_per_node": None})
    assert trigger.serialize()[1]["holder"] is None


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize("is_older", [False, True])
async def test_wait_goes_on(consul_kv, members, is_older):
    """With what it had seen; one that is older still lacks fields that came later, and has no Dag run."""
    members("web-1", "web-2", "web-3")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/_lease"] = make_lease().to_json()
    for node in ("web-1", "web-2", "web-3"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node).to_json()
    newer = {"others", "ids", "seen_alive", "still_converged", "max_lost", "holder"} if is_older else set()
    wait = WAIT | {"deadline": (datetime.now(UTC) + timedelta(minutes=5)).isoformat()}
    wait, policy = ({key: of[key] for key in of if key not in newer} for of in (wait, POLICY))
    stored = CONVERGED | {"waits": {"web": wait}, "policy": policy}
    trigger = load("converged.ConvergedTrigger", {key: stored[key] for key in stored if key not in newer})
    event = await run_trigger(trigger)
    assert event["ending"] == "converged"
    assert event["tiers"]["web"]["counts"] == {"converged": 3}
    assert (json.loads(consul_kv["demo/_lease"])["expires_at"] > make_lease().expires_at) is not is_older


@pytest.mark.usefixtures("consul_connection")
async def test_lease_is_taken_for_the_stored_dag_run(consul_kv):
    """However late, it looks once."""
    assert await run_trigger(load("lease.LeaseTrigger", LEASE)) == {
        "is_held": True,
        "error": "",
        "has_taken_over": False,
    }
    assert json.loads(consul_kv["demo/_lease"])["holder"] == asdict(DagRun(**HOLDER))


SUMMARY = {"web": {"generation": 7, "members": 2, "counts": {"converged": 2}, "nodes": {}}}
LATE = {"web": {"generation": 7, "members": 1, "counts": {"lost": 1}, "nodes": {"lost": ["web-1"]}}}


def outcome(ending: str, reason: str = "", tiers: Any = None, lines: tuple[str, ...] = ()) -> dict[str, Any]:
    """The payload of a wait's event."""
    return {"ending": ending, "reason": reason, "tiers": tiers or {}, "lines": list(lines)}


@pytest.mark.parametrize(
    ("kind", "options", "result"),
    [(ConvergedSensor, {}, SUMMARY), (SetDesiredStateOperator, {"state": "off"}, {"web": 7})],
)
def test_stored_outcomes(kind, options, result, capsys):
    """They end the task that resumes as they did."""
    operator = kind(task_id="wait", **TIER, **options)
    assert operator.execute_complete(make_context(), outcome("converged", tiers=SUMMARY)) == result
    failed = outcome("failed", "demo/web: 1 of 1 members failed", LATE, ("demo/web: web-1: failed",))
    with pytest.raises(AirflowFailException, match="demo/web: 1 of 1 members failed"):
        operator.execute_complete(make_context(), failed)
    assert "demo/web: web-1: failed" in capsys.readouterr().out
    with pytest.raises(AirflowSensorTimeout, match="deadline passed"):
        operator.execute_complete(make_context(), outcome("timed_out", "demo/web: deadline passed", LATE))
    with pytest.raises(ChefConsulError, match="AccessDenied: no"):
        operator.execute_complete(make_context(), outcome("error", "AccessDenied: no"))


@pytest.mark.usefixtures("consul_connection")
def test_stored_outcome_of_a_rollback(consul_kv, members):
    """It goes on with the next tier: the one that the event names is not taken back again."""
    for release in ("2.4.0", "2.5.0"):
        declare = SetDesiredStateOperator(
            task_id="set", environment="demo", tier="db", state="converged", values={"release": release},
            allow_empty=True,
        )  # fmt: skip
        declare.execute(make_context())
    for tier in ("db", "web"):
        members(f"{tier}-1", tier=tier)
    consul_kv["demo/db/nodes/db-1"] = make_report("db-1", tier="db", generation=3).to_json()
    consul_kv["demo/web/desired"] = make_desired(2).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=2).to_json()
    operator = RollBackOperator(task_id="roll_back", environment="demo", tier=["db", "web"], wait=SHORT)
    event = outcome("converged", tiers={"web": SUMMARY["web"] | {"generation": 2}})
    assert operator.execute_complete(make_context(task_id="roll_back"), event) == {"web": 2, "db": 3}


@pytest.mark.parametrize("kind", [ConsulExecChefOperator, SSHChefOperator])
def test_stored_results(kind, capsys):
    """One that is older still says no reasons."""
    operator = kind(task_id="nudge", **TIER)
    lost = {"node": "web-2", "outcome": "unacknowledged", "exit_code": None, "output": ""}
    event = {"error": "", "results": JOB["results"] | {"web-2": lost}}
    assert operator.execute_complete(make_context(), event) == {"web-1": 3, "web-2": "unacknowledged"}
    assert "no space left" in capsys.readouterr().out
    with pytest.raises(ChefConsulError, match="ConsulUnavailable: away"):
        operator.execute_complete(make_context(), {"error": "ConsulUnavailable: away", "results": {}})


def test_stored_answers_of_a_lease():
    """Held, not held in time, and an error."""
    operator = AcquireLeaseOperator(task_id="acquire", environment="demo")
    operator.execute_complete(make_context(), {"is_held": True, "error": ""})
    with pytest.raises(AirflowFailException, match="environment demo was not free"):
        operator.execute_complete(make_context(), {"is_held": False, "error": ""})
    with pytest.raises(ChefConsulError, match="ConsulUnavailable: away"):
        operator.execute_complete(make_context(), {"is_held": False, "error": "ConsulUnavailable: away"})


def test_stored_outcomes_of_a_gate():
    """Passed, failed and an error."""
    operator = MetricGateOperator(task_id="gate", environment="demo", query="up", condition="== 1")
    measured = {"at": "2026-11-22T08:02:00.000Z", "assessment": "successful", "value": "1", "reason": ""}
    event = {"measurements": [measured], "failure": "", "error": ""}
    assert operator.execute_complete(make_context(), event) == [measured]
    with pytest.raises(AirflowFailException, match="1 of 1 measurements failed"):
        operator.execute_complete(make_context(), event | {"failure": "1 of 1 measurements failed"})
    with pytest.raises(ChefConsulError, match="PrometheusUnavailable: away"):
        operator.execute_complete(make_context(), event | {"error": "PrometheusUnavailable: away"})
