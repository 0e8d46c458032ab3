"""A rollout whose Dag run has ended in the middle, in the words of commands and of the audit."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.operators.audit import DriftAuditOperator
from airflow_provider_chefconsul.task_groups import rollout
from tests.support.airflow_home import pull_xcom
from tests.support.factory import make_assignment, make_canary, make_desired, make_lease
from tests.support.follower import following

NODES = ["web-1", "web-2", "web-3"]


@pytest.fixture
def left_canary(run_dag, cluster, consul_connection, consul_root, consul_kv, members):
    """The first of two waves is in place, and the Dag run has failed after it."""
    forget_runs("left")  # of the tests before
    members(*NODES)
    consul_kv["demo/web/desired"] = make_desired(1, sequence=1).to_json()

    @task
    def say_nothing(wave):
        raise AirflowSkipException

    with DAG("left", schedule=None) as dag:
        rollout("demo", "web", "converged", {"release": "2.6.0"}, waves=[1, "100%"], command=None, gate=say_nothing)
    with following(cluster.http_port, consul_root, [("demo", "web")], NODES):
        assert run_dag(dag)["run"] == "failed"
    return json.loads(consul_kv["demo/web/desired"])


def forget_runs(dag_id):
    """Delete a Dag's runs, as somebody does in the UI, or `airflow db clean`."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == dag_id))


def audit(run_dag):
    """What the audit of the environment returns of the tier."""
    with DAG("audit", schedule=None) as dag:
        DriftAuditOperator(task_id="audit", environment="demo")
    assert run_dag(dag)["run"] == "success"
    return pull_xcom("audit", "audit")["demo"]["web"]


def test_rollout_that_was_left_is_named_until_somebody_ends_it(left_canary, run_dag, airflow_chefconsul):
    """By `status`, `explain` and the audit, with who and since when; `promote` ends it."""
    run = f"Dag left, run {left_canary['written_by']['run_id']}"
    ended = airflow_chefconsul("status", "demo")
    assert "a canary is out on 1 of 3 members" in ended.out
    ways = "and left its canary out; nothing moves by itself: promote or abort it, or clear the task that failed"
    assert f"orphaned: {run} failed " in " ".join(ended.out.split())
    assert ways in " ".join(ended.out.split())
    (tier,) = airflow_chefconsul("status", "demo", "--output", "json").json["tiers"]
    assert tier["orphaned"].pop("ended_at") is not None
    assert tier["orphaned"] == {
        "by": f"{run}, task web_converged.wave_1",
        "since": left_canary["written_at"],
        "run": "failed",
    }
    assert airflow_chefconsul("explain", "demo", "web", "--output", "json").json["orphaned"]["run"] == "failed"
    assert audit(run_dag)["orphaned"] == f"orphaned: {run} failed {ways}"
    forget_runs("left")
    ended = airflow_chefconsul("explain", "demo", "web")
    assert f"orphaned: {run} is not in this Airflow, or no longer, and left its canary out" in ended.out
    assert audit(run_dag)["orphaned"] == ""  # a task cannot tell a Dag without runs from another Airflow's
    assert airflow_chefconsul("promote", "demo", "web", "--reason", "it is good").code == 0
    ended = airflow_chefconsul("status", "demo", "--output", "json")
    assert ended.json["tiers"][0]["orphaned"] is None
    assert "orphaned" not in airflow_chefconsul("status", "demo").out


def test_while_another_run_of_its_dag_is_under_way_it_may_go_on(left_canary, run_dag, airflow_chefconsul):
    """That run repeats the first wave, which changes nothing, and goes on: nobody is told to abort it."""
    from airflow.models.dagrun import DagRun as Model
    from airflow.utils.session import create_session

    assert "orphaned" in airflow_chefconsul("status", "demo").out
    with create_session() as session:
        session.add(Model(dag_id="left", run_id="manual__again", run_type="manual", state="running"))
    assert "orphaned" not in airflow_chefconsul("status", "demo").out
    assert audit(run_dag)["orphaned"] == ""


def test_while_another_run_holds_the_environment_it_may_go_on(left_canary, consul_kv, airflow_chefconsul):
    """Be it another Airflow's; that it is over is known only where this one knows it."""
    assert "orphaned" in airflow_chefconsul("status", "demo").out
    consul_kv["demo/_lease"] = make_lease(holder=DagRun("other", "manual__9")).to_json()
    assert "orphaned" not in airflow_chefconsul("status", "demo").out
    consul_kv["demo/_lease"] = make_lease(holder=DagRun("left", left_canary["written_by"]["run_id"])).to_json()
    assert "orphaned" in airflow_chefconsul("status", "demo").out


def test_run_of_another_airflow_is_none_of_ours(consul_kv, airflow_database, airflow_chefconsul):
    """Nothing is said of a Dag that this Airflow does not know."""
    consul_kv["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=make_canary(8)).to_json()
    ended = airflow_chefconsul("status", "demo", "--output", "json")
    assert ended.json["tiers"][0]["orphaned"] is None


def test_database_that_does_not_answer_hides_nothing_else(
    consul_kv, airflow_database, airflow_chefconsul, monkeypatch, caplog
):
    """The command says that it does not know, and shows what Consul knows."""
    from airflow import settings
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    consul_kv["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=make_canary(8)).to_json()
    monkeypatch.setattr(settings, "NonScopedSession", sessionmaker(create_engine("sqlite:////nowhere/airflow.db")))
    ended = airflow_chefconsul("status", "demo")
    assert ended.code == 3
    assert "a canary is out on 0 of 0 members" in ended.out
    assert "whether the Dag runs go on that left a canary out is not known" in caplog.text
