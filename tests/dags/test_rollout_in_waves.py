"""A rollout of twelve nodes in waves, run by Airflow against real agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import consul
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.task_groups import rollout
from demo.cluster import ConsulCluster
from demo.nodes import add_node
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, make_context, pull_xcom
from tests.support.raw_keys import RawKeys
from tests.support.warm_client import WarmClient

NODES = [f"web-{number}" for number in range(1, 13)]
WAVES = [1, "25%", "100%"]
# By the ranks of generation 2, which are fixed by the nodes' names.
FIRST, SECOND = ["web-9"], ["web-10", "web-8"]
OTHERS = sorted(set(NODES) - {*FIRST, *SECOND})


@dataclass(frozen=True)
class PickyClient(WarmClient):
    """Fails whenever it runs while a canary is out: a release that this node does not take."""

    consul: str = ""

    def install(self, home: Path, node: str, tier: str) -> str:
        """Give the program's text."""
        fault = f"{self.consul} kv get {DEFAULT_ROOT}/demo/{tier}/desired | grep -q '\"canary\": {{' && echo --fail"
        return super().install(home, node, tier).replace(f"cat {home / 'faults'} 2>/dev/null", fault)


@pytest.fixture(params=[None])
def web(request, consul_binary: Path, warm_client: WarmClient, tmp_path: Path, monkeypatch) -> Iterator[Fleet]:
    """Twelve web nodes that have converged at release 2.4.0; the parameter names one that does not take another."""
    with ConsulCluster(consul_binary, tmp_path / "consul", in_memory=True) as cluster:
        for node in NODES:
            picky = PickyClient(program=warm_client.program, consul=str(consul_binary))
            add_node(cluster, tmp_path / "nodes", node, "web", picky if node == request.param else warm_client)
        cluster.wait_until_ready()
        connect(monkeypatch, cluster.http_port)
        before = SetDesiredStateOperator(
            task_id="before",
            environment="demo",
            tier="web",
            state="converged",
            values={"release": "2.4.0"},
            sequence=1,
            wait=ConvergencePolicy(),
        )
        before.execute(make_context())
        yield Fleet(cluster, RawKeys(consul.Consul(host="127.0.0.1", port=cluster.http_port), DEFAULT_ROOT))


def build(**overrides) -> DAG:
    """A Dag that rolls release 2.5.0 out to the web tier, and does something after that."""
    with DAG("rollout_in_waves", schedule=None) as dag:
        defaults = {"waves": WAVES, "auto_revert": True, "policy": ConvergencePolicy(timeout=timedelta(minutes=5))}
        group = rollout("demo", "web", "converged", {"release": "2.5.0"}, **defaults | overrides)
        group >> EmptyOperator(task_id="announce")
    return dag


class Report(NamedTuple):
    """What tells one report of a node from another."""

    generation: int
    status: str
    run_id: str
    modify_index: int


def reports(fleet: Fleet) -> dict[str, Report]:
    """What each node has reported last."""
    _, entries = fleet.keys.client.kv.get(f"{DEFAULT_ROOT}/demo/web/nodes/", recurse=True)
    found = {}
    for entry in entries:
        said = json.loads(entry["Value"])
        found[said["node"]] = Report(said["generation"], said["status"], said["run_id"], entry["ModifyIndex"])
    return found


@pytest.mark.parametrize("deferrable", [False, True])
def test_every_wave_converges(web, run_dag, monkeypatch, capsys, deferrable):
    """The last wave promotes the release; nodes of earlier waves do not run for that, and what follows runs."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    states = run_dag(build(deferrable=deferrable))
    assert {task for task, state in states.items() if state != "success"} == {
        "web_converged.revert.roll_back", "web_converged.revert.nudge", "web_converged.revert.wait",
    }  # fmt: skip
    desired = web.desired("web")
    assert web.assigned("web") == {"generation": 2, "state": "converged", "values": {"release": "2.5.0"}}
    assert desired["canary"] is None
    waves = [pull_xcom("rollout_in_waves", f"web_converged.wave_{number}") for number in (1, 2, 3)]
    assert waves == [{"web": 2}] * 3
    printed = capsys.readouterr().out
    assert all(f"wait: demo/web generation 2: {size} of {size} members converged" in printed for size in (1, 3, 12))
    found = reports(web)
    assert {(report.generation, report.status) for report in found.values()} == {(2, "succeeded")}
    ran_last = [max(found[node].modify_index for node in nodes) for nodes in (FIRST, SECOND)]
    assert ran_last == sorted(ran_last)
    assert ran_last[-1] < min(found[node].modify_index for node in OTHERS), "nodes ran again at the promotion"


@pytest.mark.parametrize("web", ["web-10"], indirect=True)
def test_failing_node_stops_the_rollout_within_its_wave(web, run_dag, capsys):
    """The wave is taken back, nodes outside it were never touched, and the Dag run fails; log and XComs say so."""
    before = reports(web)
    states = run_dag(build())
    assert states["run"] == "failed"
    assert {task: state for task, state in states.items() if state != "success"} == {
        "run": "failed",
        "announce": "upstream_failed",
        "web_converged.end": "upstream_failed",
        "web_converged.wave_2": "failed",
        "web_converged.wave_3": "upstream_failed",
    }
    after = reports(web)
    assert {node: after[node] for node in OTHERS} == {node: before[node] for node in OTHERS}
    assert {(after[node].generation, after[node].status) for node in (*FIRST, *SECOND)} == {(1, "succeeded")}
    assert web.assigned("web") == {"generation": 1, "state": "converged", "values": {"release": "2.4.0"}}
    assert web.desired("web")["canary"] is None
    assert pull_xcom("rollout_in_waves", "web_converged.revert.roll_back") == {"web": 1}
    # A node whose watch was faster has converged before the nudge looks, and is left alone.
    back = pull_xcom("rollout_in_waves", "web_converged.revert.nudge")
    assert back.items() <= {"web-10": 0, "web-8": 0, "web-9": 0}.items()
    assert pull_xcom("rollout_in_waves", "web_converged.revert.wait")["web"]["counts"] == {"converged": 12}
    printed = capsys.readouterr().out
    assert "demo/web generation 2: 2 of 3 members converged, 1 failed (web-10)" in printed
    assert "demo/web: 1 of 12 members present failed (web-10); max_failed=0 is spent" in printed
    assert "demo/web: rolled back: all nodes are assigned generation 1" in printed
