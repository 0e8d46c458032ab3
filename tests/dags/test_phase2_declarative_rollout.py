"""The example Dag, run by Airflow against real agents whose watches and remote execution run the simulated client."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from demo.nodes import TIERS
from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect
from tests.support.factory import make_desired
from tests.support.follower import following


def test_rollout_brings_every_tier_to_the_release(fleet: Fleet, run_dag, monkeypatch):
    """Every task succeeds, tiers go through their states in order, nodes report the release's state."""
    connect(monkeypatch, fleet.cluster.http_port)
    states = run_dag(load("phase2_declarative_rollout"), release="3.1.4")
    assert set(states.values()) == {"success"}
    assert len(states) == 1 + 3 * 7
    assert {tier: fleet.states_written(tier) for tier in TIERS} == {
        "web": ["off", "waiting", "converged"],
        "app": ["off", "waiting", "converged"],
        "db": ["converged"],
    }
    for tier in TIERS:
        assert fleet.desired(tier)["stable"]["values"] == {"release": "3.1.4"}
        assert fleet.statuses(tier) == {"succeeded"}
    assert fleet.keys.client.kv.get("_rexec/", keys=True)[1] is None, "remote execution left keys behind"
    assert fleet.keys.client.session.list()[1] == [], "remote execution left a session behind"


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize(("away", "is_migrated"), [("app", False), ("web", True)])
def test_database_is_not_touched_beside_an_application_that_may_run(
    run_dag, cluster, consul_root, consul_kv, members, away, is_migrated
):
    """An application node that Consul has lost sight of may serve on; a web node does not use the database."""
    before = make_desired(1, sequence=1).to_json()
    for tier in TIERS:
        members(f"two-{tier}", tier=tier)
        consul_kv[f"demo/{tier}/desired"] = consul_kv[f"demo/_history/{tier}/000000000001"] = before
    members("cut-off", tier=away, check="critical")
    dag = load("phase2_declarative_rollout")
    for task in dag.tasks:
        if isinstance(task, ConvergedSensor):
            task.policy = replace(task.policy, timeout=timedelta(seconds=5 if task.tier == away else 60))
    tier_paths = [("demo", tier) for tier in TIERS]
    with following(cluster.http_port, consul_root, tier_paths, [f"two-{tier}" for tier in TIERS]):
        states = run_dag(dag, release="3.1.4")
    assert states["run"] == ("success" if is_migrated else "failed")
    assert states["app_off.wait"] == ("success" if is_migrated else "failed")
    assert (json.loads(consul_kv["demo/db/desired"])["generation"] > 1) is is_migrated
