"""Tasks that Airflow stops while they wait in a worker: what they made in Consul is gone when they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import consul
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSensorTimeout, TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from tests.support.airflow_home import connect, make_context
from tests.support.factory import make_desired, make_lease

STOPPED = "Airflow stopped this task"


@contextmanager
def stopped_when(operator, happens: Callable[[], None]) -> Iterator[None]:
    """Send this process a SIGTERM as soon as something has happened; handle it as Airflow's workers do."""

    def watch() -> None:
        happens()
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        watcher.join()
        signal.signal(signal.SIGTERM, before)


def job_is_acknowledged(client: consul.Consul) -> None:
    """Return when the node has a remote execution's job."""
    index = None
    while True:
        index, found = client.kv.get("_rexec/", keys=True, index=index, wait="10s")
        if any(key.endswith("web-1/ack") for key in found or ()):
            return


def lease_is_renewed(client: consul.Consul, key: str) -> None:
    """Return when somebody has renewed :func:`make_lease`'s: a write does, and a wait when it begins."""
    index, entry = client.kv.get(key)
    while json.loads(entry["Value"])["expires_at"] <= make_lease().expires_at:
        index, entry = client.kv.get(key, index=index, wait="10s")


@pytest.mark.parametrize("deferrable", [False, True])
def test_stopped_nudge_leaves_neither_session_nor_keys(make_cluster, monkeypatch, deferrable):
    """As a trigger that is cancelled: the session is destroyed, and the job's keys are deleted."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(minutes=2))
    cluster = make_cluster(web=1)
    connect(monkeypatch, cluster.http_port)
    client = consul.Consul(host="127.0.0.1", port=cluster.http_port)
    client.kv.put("chefconsul/demo/web/desired", make_desired(7).to_json())
    operator = ConsulExecChefOperator(
        task_id="nudge", environment="demo", tier="web", command="sleep 60", deferrable=deferrable
    )
    with (
        stopped_when(operator, lambda: job_is_acknowledged(client)),
        pytest.raises(AirflowException, match=STOPPED),
    ):
        operator.execute(make_context())
    assert client.session.list()[1] == []
    assert client.kv.get("_rexec/", keys=True)[1] is None


@pytest.fixture
def waiting(consul_kv, members):
    """A tier whose node says nothing, desired in two generations; and a lease, which a wait renews."""
    members("web-1")
    for generation in (1, 2):
        document = make_desired(generation, sequence=1, previous=1 if generation == 2 else None)
        consul_kv[f"demo/_history/web/{generation:012}"] = document.to_json()
    consul_kv["demo/web/desired"] = document.to_json()
    consul_kv["demo/_lease"] = make_lease().to_json()
    return consul_kv


TIER = {"task_id": "task", "environment": "demo", "tier": "web"}
POLICY = ConvergencePolicy(timeout=timedelta(minutes=5))
HOUR = timedelta(hours=1)
SOON = ConvergencePolicy(timeout=timedelta(seconds=0.5))
WAITS = {
    "sensor": lambda policy, **options: ConvergedSensor(**TIER, policy=policy, **options),
    "set": lambda policy, **options: SetDesiredStateOperator(**TIER, state="off", wait=policy, **options),
    "roll_back": lambda policy, **options: RollBackOperator(**TIER, to=1, wait=policy, **options),
}


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize("kind", WAITS)
def test_stopped_wait_ends_at_once(waiting, plain_consul, consul_root, kind):
    """It renews no lease any more, and Airflow need not kill it."""
    operator = WAITS[kind](POLICY)
    with (
        stopped_when(operator, lambda: lease_is_renewed(plain_consul, f"{consul_root}/demo/_lease")),
        pytest.raises(AirflowException, match=STOPPED),
    ):
        operator.execute(make_context())


@pytest.mark.usefixtures("consul_connection")
def test_stopped_wait_for_an_environment_takes_nothing(consul_kv):
    """The lease stays with the Dag run that holds it."""
    consul_kv["demo/_lease"] = held = make_lease(holder=DagRun("other_rollout", "manual__9"), ttl=HOUR).to_json()
    operator = AcquireLeaseOperator(task_id="acquire", environment="demo")
    with stopped_when(operator, lambda: time.sleep(0.5)), pytest.raises(AirflowException, match=STOPPED):
        operator.execute(make_context())
    assert consul_kv["demo/_lease"] == held


@pytest.mark.usefixtures("consul_connection", "waiting")
@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("kind", WAITS)
def test_one_event_loop_for_each_task(kind, deferrable, monkeypatch):
    """Checks, write and wait share it, and with it the connections to Consul."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    run, loops = asyncio.run, []
    monkeypatch.setattr(asyncio, "run", lambda coroutine: loops.append(None) or run(coroutine))
    operator = WAITS[kind](SOON if not deferrable else POLICY, deferrable=deferrable)
    with pytest.raises(TaskDeferred if deferrable else AirflowSensorTimeout):
        operator.execute(make_context())
    assert len(loops) == 1


def test_stopped_before_it_began():
    """A signal between two waits stops the next one."""
    operator = ConvergedSensor(**TIER)
    operator.on_kill()

    async def never():
        pytest.fail("it ran")

    with pytest.raises(AirflowException, match=STOPPED):
        operator.run_here(never())
