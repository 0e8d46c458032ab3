"""Triggers go through Airflow's database: what comes out must be what went in."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib import import_module

import pytest

from airflow_provider_chefconsul.domain.gate.analysis import Analysis
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.nudge.request import NudgeRequest
from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger
from airflow_provider_chefconsul.triggers.event import DesiredStateChangedTrigger, TierConvergedTrigger
from airflow_provider_chefconsul.triggers.frozen import FrozenTrigger
from airflow_provider_chefconsul.triggers.metric_gate import MetricGateTrigger
from airflow_provider_chefconsul.triggers.remote_exec import RemoteExecTrigger
from airflow_provider_chefconsul.triggers.ssh_chef import SSHChefTrigger
from airflow_provider_chefconsul.triggers.transition import TransitionTrigger
from airflow_provider_chefconsul.triggers.window import WindowTrigger
from tests.support.factory import NOW, make_policy, make_report, make_snapshot, make_wait, seen

TRIGGERS = [
    DesiredStateChangedTrigger(environment="demo", tier="web", consul_conn_id="consul_eu"),
    TierConvergedTrigger(
        environment="demo",
        tier=["web", "db"],
        state="off",
        policy=make_policy(max_failed="5%"),
        members="meta:tier=web",
    ),
    ConvergedTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        waits={"web": seen(make_wait(failures_after=5), make_snapshot(make_report())).to_fields()},
        policy=make_policy(max_absent="10%").to_fields(),
        members=["web-1", "web-2"],
    ),
    TransitionTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        waits={"web": make_wait().to_fields()},
        policy=make_policy().to_fields(),
        members="service",
        holder={"dag_id": "shop", "run_id": "manual__1"},
        nudge=NudgeRequest("chef-client", "shop/manual__1/web_off/-1: demo/web=7", 2, NOW, 3, "rexec-node").to_fields(),
        answered=["web-1", "web-2"],
    ),
    TransitionTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        waits={"web": make_wait().to_fields()},
        policy=make_policy().to_fields(),
        members="service",
    ),
    MetricGateTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        holder={"dag_id": "shop", "run_id": "manual__1"},
        prometheus_conn_id="prometheus_eu",
        query="sum(rate(errors[1m]))",
        condition=">= 1e-07",
        analysis=Analysis(5, timedelta(minutes=2), timedelta(seconds=30), 2, 1).to_fields(),
        begun_at=NOW.isoformat(),
        consecutive_error_limit=3,
        timeout=2.5,
        rollouts={"web": 8},
    ),
    RemoteExecTrigger(
        consul_conn_id="consul_default",
        command="chef-client",
        nodes=["web-1", "web-2"],
        job_id="7f0c",
        deadline="2026-11-22T08:30:00+00:00",
        max_parallel=2,
        prefix_per_node="rexec-node",
    ),
    WindowTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        holder=None,
        window=ChangeWindow("Fri 22:00-02:00", timezone="Europe/Berlin", holidays=["2026-12-25"]).to_fields(),
    ),
    FrozenTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        holder={"dag_id": "shop", "run_id": "manual__1"},
        tiers=["app", "web"],
        rollouts={"app": 3, "web": 8},
    ),
    SSHChefTrigger(
        consul_conn_id="consul_default",
        ssh_conn_id="ssh_fleet",
        command="sudo chef-client",
        nodes=["web-1", "web-2", "web-3"],
        job_id="7f0c",
        deadline="2026-11-22T08:30:00+00:00",
        max_parallel=10,
        environment="demo",
        holder={"dag_id": "shop", "run_id": "manual__1"},
        results={
            "web-1": {"outcome": "exited", "exit_code": 3, "output": "no space left", "reason": ""},
            "web-2": {"outcome": "unacknowledged", "exit_code": None, "output": "", "reason": "it is down"},
        },
    ),
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: type(trigger).__name__)
def test_round_trip(trigger):
    """The stored form is JSON, names the class, and makes an equal trigger."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert type(again) is type(trigger)
    assert again.serialize() == (path, kwargs)


def test_restarted_wait_holds_anew():
    """What the stored form says of a policy that was met is as old as the deferral, and nobody has watched since."""
    waits = {"web": make_wait(holding_since=NOW).to_fields()}
    trigger = ConvergedTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        waits=waits,
        policy=make_policy().to_fields(),
        members="service",
    )
    assert trigger.serialize()[1]["waits"]["web"]["holding_since"] is None
