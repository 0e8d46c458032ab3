"""AcquireLeaseOperator and ReleaseLeaseOperator against a real Consul."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import (
    ChefConsulError,
    ConsulUnavailable,
    InvalidInput,
    MalformedDocument,
)
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator, ReleaseLeaseOperator
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.factory import make_lease

pytestmark = pytest.mark.usefixtures("consul_connection")
KEY = "demo/_lease"
OTHER = make_lease(holder=DagRun("other_rollout", "manual__9"), reason="upgrade to 2.6.0")
A_MOMENT = timedelta(seconds=0.3)


@pytest.fixture(params=["blocking", "deferred"])
def acquire(request, monkeypatch):
    """Run the operator to its end: in the worker, or by its trigger after a detour through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def run(context=None, **overrides):
        defaults = {"task_id": "acquire", "environment": "demo", "reason": "upgrade to 2.5.0"}
        operator = AcquireLeaseOperator(**defaults | overrides, deferrable=request.param == "deferred")
        try:
            return operator.execute(context or make_context())
        except TaskDeferred as deferred:
            assert request.param == "deferred"
            assert deferred.timeout > operator.timeout  # the scheduler's net, behind the operator's own deadline
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(make_context(), event)

    return run


@pytest.fixture
def release():
    """Run the operator."""
    return lambda **instance: ReleaseLeaseOperator(task_id="release", environment="demo").execute(
        make_context(**instance)
    )


def write(release: str, on_stale: str = "fail", **instance):
    """A write by a Dag run, :func:`make_context`'s unless overrides say otherwise."""
    operator = SetDesiredStateOperator(
        task_id="set",
        environment="demo",
        tier="web",
        state="converged",
        values={"release": release},
        on_stale=on_stale,
        allow_empty=True,
    )
    return operator.execute(make_context(**instance))


def test_free_environment_is_held_at_once(acquire, consul_kv):
    """The document says who holds it, for how long and why; it is not deferred for."""
    acquire(ttl=timedelta(minutes=2))
    lease = json.loads(consul_kv[KEY])
    assert lease["holder"] == {"dag_id": "shop_rollout", "run_id": "manual__1"}
    assert (lease["ttl_seconds"], lease["reason"]) == (120, "upgrade to 2.5.0")


def test_lease_survives_retries_and_clears(acquire, consul_kv):
    """Acquired again by the same Dag run, whichever its task and try, it is the same lease, renewed."""
    acquire()
    before = json.loads(consul_kv[KEY])
    acquire(make_context(try_number=2, task_id="again"))
    after = json.loads(consul_kv[KEY])
    assert (after["holder"], after["acquired_at"]) == (before["holder"], before["acquired_at"])


def test_held_environment_is_waited_for(acquire, consul_kv, capsys):
    """Within the timeout only; the log names holder, since when and why, and the lease is left alone."""
    consul_kv[KEY] = OTHER.to_json()
    with pytest.raises(AirflowFailException, match="environment demo was not free within 0:00:00.3"):
        acquire(timeout=A_MOMENT)
    assert consul_kv[KEY] == OTHER.to_json()
    line = "held by Dag other_rollout, run manual__9 since 2026-11-22T08:00:00Z: upgrade to 2.6.0"
    assert f"demo: waiting, {line}" in capsys.readouterr().out


def test_lease_that_nobody_renews_is_taken_over(acquire, consul_kv, capsys):
    """After its ttl by the waiter's clock, whatever its dates say; the old holder's writes are refused from then on."""
    other = {"dag_id": "other_rollout", "run_id": "manual__9"}
    consul_kv[KEY] = make_lease(
        holder=DagRun(**other), ttl=timedelta(seconds=1), expires_at="2099-01-01T00:00:00Z"
    ).to_json()
    assert write("2.6.0", **other) == {"web": 1}
    acquire()
    assert "was not renewed for 0:00:01; taking over" in capsys.readouterr().out
    assert json.loads(consul_kv[KEY])["holder"]["dag_id"] == "shop_rollout"
    before = dict(consul_kv)
    words = "demo/web: Dag shop_rollout, run manual__1 took the lease of environment demo away from this Dag run at 2"
    with pytest.raises(AirflowFailException, match=words):  # a retry would find the same
        write("2.7.0", **other)
    assert dict(consul_kv) == before
    assert write("2.5.0") == {"web": 2}


def test_release_gives_the_environment_up(acquire, release, consul_kv, capsys):
    """Once; a second time, and for another Dag run's lease, it changes nothing and says so."""
    acquire()
    release()
    (entry,) = consul_kv
    assert entry.startswith("demo/_journal/")
    release()
    assert "no longer holds environment demo" in capsys.readouterr().out
    consul_kv[KEY] = OTHER.to_json()
    release()
    assert {key for key in consul_kv if key != entry} == {KEY}
    assert consul_kv[KEY] == OTHER.to_json()
    assert "no longer holds environment demo" in capsys.readouterr().out


@pytest.mark.parametrize("document", ["{", "[]", '{"schema": 2}', '{"schema": 1, "holder": "me"}'])
def test_unreadable_lease_is_not_replaced(acquire, release, consul_kv, document):
    """It may be somebody's: acquiring, releasing and writing are errors that name the key."""
    consul_kv[KEY] = document
    for attempt in (acquire, release, lambda: write("2.5.0")):
        with pytest.raises(MalformedDocument, match="demo/_lease"):
            attempt()
    assert dict(consul_kv) == {KEY: document}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"environment": "de/mo"}, "environment 'de/mo' is not a name"),
        ({"environment": ""}, "environment '' is not a name"),
        ({"ttl": timedelta(seconds=29)}, "ttl must be a timedelta from 0:00:30 to 1 day"),
        ({"ttl": timedelta(days=2)}, "ttl must be a timedelta from 0:00:30 to 1 day"),
        ({"ttl": 600}, "ttl must be a timedelta"),
        ({"timeout": timedelta(0)}, "timeout must be a timedelta above zero"),
        ({"timeout": 60}, "timeout must be a timedelta above zero"),
    ],
)
def test_bad_input_changes_nothing(acquire, consul_kv, wrong, words):
    """One clear error that names the parameter."""
    with pytest.raises(InvalidInput, match=words):
        acquire(**wrong)
    assert dict(consul_kv) == {}


def test_release_of_what_is_no_environment():
    """A name that is none is refused before anything is sent."""
    with pytest.raises(InvalidInput, match="environment 'de/mo' is not a name"):
        ReleaseLeaseOperator(task_id="release", environment="de/mo").execute(make_context())


def test_consul_away_is_said(monkeypatch, free_port):
    """Both name the address, after their patience has run out."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__PATIENCE", "0.2")
    connect(monkeypatch, free_port, connection_id="nowhere")
    for kind in (AcquireLeaseOperator, ReleaseLeaseOperator):
        with pytest.raises(ConsulUnavailable, match=f"127.0.0.1:{free_port} cannot be reached"):
            kind(task_id="lease", environment="demo", consul_conn_id="nowhere").execute(make_context())


@pytest.mark.parametrize("event", [None, {}, {"is_held": True}, "held"])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be an answer."""
    operator = AcquireLeaseOperator(task_id="acquire", environment="demo")
    with pytest.raises(ChefConsulError, match="the trigger's event is not "):
        operator.execute_complete(make_context(), event)


def test_lost_lease_stays_lost(acquire, release, consul_kv):
    """Also when the one who took it over has given it up again; acquiring makes up for it."""
    other = {"dag_id": "other_rollout", "run_id": "manual__9"}
    consul_kv[KEY] = make_lease(holder=DagRun(**other), ttl=timedelta(seconds=1)).to_json()
    acquire()
    write("2.5.0")
    release()
    before = dict(consul_kv)
    words = "Dag shop_rollout, run manual__1 took the lease of environment demo away from this Dag run at 2"
    with pytest.raises(AirflowFailException, match=words):  # a retry would find the same
        write("2.7.0", **other)
    with pytest.raises(AirflowFailException, match=words):
        write("2.7.0", "skip", **other)
    assert dict(consul_kv) == before
    assert write("2.6.0", dag_id="a_third") == {"web": 2}
    AcquireLeaseOperator(task_id="acquire", environment="demo").execute(make_context(**other))
    assert write("2.7.0", **other) == {"web": 3}
    release(**other)
    assert write("2.8.0", **other) == {"web": 4}
