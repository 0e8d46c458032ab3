"""How long a hold may take, as a scheduler sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.freeze import FreezeOperator, UnfreezeOperator
from tests.support.airflow_home import make_context
from tests.support.factory import make_desired

pytestmark = pytest.mark.usefixtures("consul_connection")


def find_instance() -> TaskInstance:
    """The task of the Dag's only run."""
    with create_session() as session:
        instance = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == "held")).one()
        session.expunge_all()
    return instance


def test_execution_timeout_bounds_a_hold(run_dag, consul_kv, monkeypatch):
    """It runs from the deferral; the try fails then, and the next one writes what the freeze no longer keeps."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    tier = {"environment": "demo", "tier": "web"}
    options = {"execution_timeout": timedelta(hours=8), "retries": 1, "deferrable": True, "allow_empty": True}
    with DAG("held", schedule=None) as dag:
        declare = SetDesiredStateOperator(task_id="declare", state="off", **tier, **options)
    run_dag(dag)
    before = consul_kv["demo/web/desired"] = make_desired(1, sequence=1).to_json()
    freeze = FreezeOperator(task_id="freeze", reason="night", **tier)
    freeze.execute(make_context())
    with create_session() as session:
        clear_task_instances([find_instance()], session)
    _run_task(ti=find_instance(), task=declare, run_triggerer=False)
    held = find_instance()
    assert held.state == "deferred"
    assert timedelta(hours=7.9) < held.trigger_timeout - datetime.now(UTC) <= timedelta(hours=8)
    with create_session() as session:
        session.merge(held).trigger_timeout = datetime.now(UTC)
    SchedulerJobRunner(job=Job()).check_trigger_timeouts()
    _run_task(ti=find_instance(), task=declare, run_triggerer=False)
    assert find_instance().state == "up_for_retry"
    assert consul_kv["demo/web/desired"] == before
    UnfreezeOperator(task_id="unfreeze", **tier).execute(make_context())
    _run_task(ti=find_instance(), task=declare, run_triggerer=False)
    assert find_instance().state == "success"
    assert consul_kv["demo/web/desired"] != before
