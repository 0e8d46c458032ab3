"""The example Dag, run by Airflow against real agents whose watches and remote execution run the simulated client."""

from __future__ import annotations

from demo.nodes import TIERS
from tests.airflow_home import connect
from tests.dags.examples import load
from tests.dags.fleet import Fleet


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
