"""The example Dag that looks for drift."""

from __future__ import annotations

import json

from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, pull_xcom


def test_audit_is_red_until_the_nodes_match(fleet: Fleet, run_dag, monkeypatch):
    """A report of a failed run makes it fail and shows in the summary; a fleet that converged makes it pass."""
    connect(monkeypatch, fleet.cluster.http_port)
    rollout = load("phase2_declarative_rollout")
    assert run_dag(rollout, release="3.1.4")["run"] == "success"
    dag = load("nightly_drift_audit")
    dag.task_dict["audit"].retries = 0
    assert run_dag(dag) == {"run": "success", "audit": "success"}
    report = json.loads(fleet.keys["demo/web/nodes/web-2"])
    fleet.keys["demo/web/nodes/web-2"] = json.dumps(report | {"status": "failed"})
    assert run_dag(dag) == {"run": "failed", "audit": "failed"}
    assert pull_xcom(dag.dag_id, "audit")["demo"]["web"]["drifted"] == {"web-2": "failed"}
