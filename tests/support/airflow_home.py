"""A separate Airflow for each test process, and ways to run operators and Dags in it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

# Airflow reads these when it is imported, so they are set before any test module is.
_HOME = Path(tempfile.mkdtemp(prefix="chefconsul-airflow-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
_DAGS = _HOME / "dags"
_DAGS.mkdir()
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(_DAGS),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
    AIRFLOW__API_AUTH__JWT_SECRET="for-tests-" * 7,  # the default's length makes a warning
)


@pytest.fixture
def consul_connection(monkeypatch: pytest.MonkeyPatch, cluster: Any, consul_root: str) -> str:
    """The id of an Airflow connection to the test's Consul, with a key prefix of its own."""
    return connect(monkeypatch, cluster.http_port, prefix=consul_root)


def connect(monkeypatch: pytest.MonkeyPatch, port: int, *, connection_id: str = "consul_default", **extra: Any) -> str:
    """Make an Airflow connection for this test."""
    own: dict[str, Any] = {name: extra.pop(name) for name in ("schema", "password") if name in extra}
    fields = {"conn_type": "consul", "host": "127.0.0.1", "port": port, "extra": extra, **own}
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(fields))
    return connection_id


def make_context(**overrides: Any) -> dict[str, Any]:
    """The context that Airflow passes to ``execute``: a task instance on its first try, and its Dag run."""
    from airflow.sdk.types import DagRunProtocol

    instance: dict[str, Any] = {
        "dag_id": "shop_rollout",
        "run_id": "manual__1",
        "task_id": "set",
        "map_index": -1,
        "try_number": 1,
        **overrides,
    }
    moment = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    return {
        "ti": Mock(spec=_names_of_task_instance(), **instance),
        "dag_run": Mock(spec=DagRunProtocol, logical_date=moment, run_after=moment),
    }


@cache
def _names_of_task_instance() -> list[str]:
    """What a task instance has; given the class itself, each mock makes pydantic build its schema anew."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return [*dir(RuntimeTaskInstance), *RuntimeTaskInstance.model_fields]


async def run_trigger(trigger: Any) -> Any:
    """The payload of a trigger's event, after the trigger went through the database as Airflow sends it."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    stored = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    events = [event async for event in stored.run()]
    assert len(events) == 1
    return json.loads(json.dumps(events[0].payload))


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's tables, once for each test process."""
    make_database()


@pytest.fixture
def run_dag(airflow_database: None) -> Callable[..., dict[str, str]]:
    """Run a Dag in this process, with its triggers, and return the state of the run and of each task."""
    return run_once


def make_database() -> None:
    """Make the tables of this process's Airflow."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()


def run_once(dag: Any, logical_date: datetime | None = None, **conf: Any) -> dict[str, str]:
    """Run a Dag in this process, with its triggers, and return the state of the run and of each task."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    bag = DagBag(str(_DAGS), collect_dags=False, bundle_name="dags-folder")
    with warnings.catch_warnings():  # those of Airflow's in-process API server are not ours
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="airflow_provider_chefconsul")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        dag_run = dag.test(logical_date=logical_date, run_conf=conf)
    states = {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}
    return {"run": str(dag_run.state), **states}


def clear_and_run(dag: Any, is_cleared: Callable[[str], bool]) -> dict[str, str]:
    """Clear tasks of a Dag's newest run, run them again one after the other, and return the state of each.

    :returns: by task and map index: ``wait[1]``.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from sqlalchemy import select

    order = {task.task_id: number for number, task in enumerate(dag.topological_sort())}
    with create_session() as session:
        newest = select(DagRun.run_id).where(DagRun.dag_id == dag.dag_id).order_by(DagRun.id.desc()).limit(1)
        of_run = select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id.in_(newest))
        clear_task_instances([each for each in session.scalars(of_run) if is_cleared(each.task_id)], session)
    with create_session() as session:
        cleared = [each for each in session.scalars(of_run) if is_cleared(each.task_id)]
        for each in cleared:
            each.try_number += 1
        session.flush()
        session.expunge_all()
    states = {}
    for each in sorted(cleared, key=lambda each: (order[each.task_id], each.map_index)):
        result = _run_task(ti=each, task=dag.task_dict[each.task_id], run_triggerer=True)
        state = result and result.ti.state
        states[f"{each.task_id}[{each.map_index}]"] = state.value if state else "failed"
    return states


def pull_xcom(dag_id: str, task_id: str) -> Any:
    """What a task returned in the newest run of its Dag, or None."""
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        newest = select(DagRun.run_id).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(1)
        run_id = session.scalars(newest).one()
        found = session.scalars(XComModel.get_many(run_id=run_id, dag_ids=dag_id, task_ids=task_id, key="return_value"))
        value = found.first()
    return None if value is None else XComModel.deserialize_value(value)
