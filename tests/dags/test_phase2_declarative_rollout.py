"""The example Dag, run by Airflow against real agents whose watches and remote execution run the simulated client."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import consul
import pytest

from demo.cluster import ConsulCluster
from demo.nodes import TIERS, add_node
from tests.airflow_home import connect
from tests.consul_fixtures import RawKeys

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture
def fleet(consul_binary, tmp_path):
    """The demo's eight nodes, whose runs take no time."""
    with ConsulCluster(consul_binary, tmp_path / "consul") as cluster:
        for tier, nodes in TIERS.items():
            for node in nodes:
                add_node(cluster, tmp_path / "nodes", node, tier, seconds=0)
        cluster.wait_until_ready()
        yield cluster


def load(name):
    """The Dag of an example file."""
    spec = importlib.util.spec_from_file_location(name, DAGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def test_rollout_brings_every_tier_to_the_release(fleet, run_dag, monkeypatch):
    """Every task succeeds, tiers go through their states in order, nodes report the release's state."""
    connect(monkeypatch, fleet.http_port)
    dag = load("phase2_declarative_rollout")
    states = run_dag(dag, release="3.1.4")
    assert states.pop("run") == "success"
    assert set(states.values()) == {"success"}
    assert len(states) == 3 * 7

    kv = RawKeys(consul.Consul(host="127.0.0.1", port=fleet.http_port), "chefconsul/demo")
    written = {key: json.loads(value) for key, value in kv.items() if key.startswith("_history/")}
    by_tier = {
        tier: [written[key]["stable"]["state"] for key in sorted(written) if key.startswith(f"_history/{tier}/")]
        for tier in TIERS
    }
    assert by_tier == {
        "web": ["off", "waiting", "converged"],
        "app": ["off", "waiting", "converged"],
        "db": ["converged"],
    }
    for tier, nodes in TIERS.items():
        desired = json.loads(kv[f"{tier}/desired"])
        assert desired["stable"]["values"] == {"release": "3.1.4"}
        for node in nodes:
            report = json.loads(kv[f"{tier}/nodes/{node}"])
            assert (report["generation"], report["state"], report["status"]) == (
                desired["generation"], "converged", "succeeded",
            )  # fmt: skip
    assert kv.client.kv.get("_rexec/", keys=True)[1] is None, "remote execution left keys behind"
    assert kv.client.session.list()[1] == [], "remote execution left a session behind"
