"""Tasks of a rollout that wait while somebody ends it, against a real Consul and a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.freeze import FreezeOperator
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.operators.steering import AbortOperator, PromoteOperator
from airflow_provider_chefconsul.triggers import window
from tests.support.airflow_home import make_context, run_trigger
from tests.support.clock import set_clock
from tests.support.factory import make_lease
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("consul_connection")
WINDOW = ChangeWindow("Mon-Fri 09:00-16:00", timezone="Europe/Berlin")
OPENING = "2026-11-30T09:00:00+01:00"
JUST_BEFORE = "2026-11-30T08:58:00+01:00"
LONG = timedelta(minutes=2)  # what nobody ends takes that long
ABORTED = "the rollout of generation 2 was aborted by Dag operate, run manual__9, task act: errors"


def operate(operator_class, tier="web", **options):
    """Run a task of another Dag."""
    operator = operator_class(task_id="act", environment="demo", tier=tier, **options)
    return operator.execute(make_context(dag_id="operate", run_id="manual__9", task_id="act"))


def abort(tier="web"):
    """Call the rollout off."""
    operate(AbortOperator, tier, reason="errors")


def promote(tier="web"):
    """Let it reach all nodes."""
    operate(PromoteOperator, tier)


@pytest.fixture(params=["blocking", "deferred"])
def run(request, monkeypatch):
    """Run a task of the rollout to its end: in the worker, or by its triggers after detours through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def to_the_end(operator_class, **options):
        operator = operator_class(environment="demo", deferrable=request.param == "deferred", **options)
        call, arguments = operator.execute, (make_context(task_id=operator.task_id),)
        while True:
            try:
                return call(*arguments)
            except TaskDeferred as deferred:
                event = asyncio.run(run_trigger(deferred.trigger))
                call, arguments = getattr(operator, deferred.method_name), (arguments[0], event)

    return to_the_end


def wave(number, tier="web", **overrides):
    """The parameters of a wave of the rollout."""
    values = {"state": "converged", "values": {"release": "2.5.0"}, "canary": 1 if number == 1 else None}
    return {"task_id": f"wave_{number}", "tier": tier, "wave": (number, 2), **values, **overrides}


def begin(*tiers):
    """Let the first wave out."""
    for task, options in (("before", {"values": {"release": "2.4.0"}, "canary": None, "wave": None}), ("wave_1", {})):
        operator = SetDesiredStateOperator(environment="demo", **wave(1, list(tiers)) | options | {"task_id": task})
        operator.execute(make_context(task_id=task))


@pytest.fixture
def rollout(members):
    """The first wave of a rollout is out."""
    members("web-1", "web-2")
    begin("web")


@pytest.fixture
def while_waiting(consul_kv):
    """Act as soon as a task of the rollout waits, which its renewal of the lease tells."""

    @contextmanager
    def acting(*acts: Callable[[], object]):
        lease = make_lease()
        consul_kv["demo/_lease"] = lease.to_json()

        def act():
            wait_until(lambda: json.loads(consul_kv["demo/_lease"])["expires_at"] > lease.expires_at)
            for each in acts:
                each()

        thread = threading.Thread(target=act)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    return acting


# Change windows -------------------------------------------------------------------------------------------------------


def test_abort_ends_the_wait_for_a_window(run, rollout, while_waiting, monkeypatch):
    """The wave fails long before the window opens, with the reason and without retries."""
    set_clock(monkeypatch, JUST_BEFORE)
    with while_waiting(abort), pytest.raises(AirflowFailException, match=ABORTED):
        run(SetDesiredStateOperator, **wave(2, window=WINDOW))
    assert window.current_time() < datetime.fromisoformat(OPENING)


def test_promotion_ends_the_wait_for_a_window(run, rollout, while_waiting, monkeypatch, consul_kv):
    """The wave finds nothing to do, and passes."""
    set_clock(monkeypatch, JUST_BEFORE)
    with while_waiting(promote):
        assert run(SetDesiredStateOperator, **wave(2, window=WINDOW)) == {"web": 2}
    assert window.current_time() < datetime.fromisoformat(OPENING)
    assert json.loads(consul_kv["demo/web/desired"])["written_by"]["dag_id"] == "operate"


# Freezes --------------------------------------------------------------------------------------------------------------


def test_abort_ends_the_wait_for_a_freeze(run, rollout, while_waiting):
    """A rollout that somebody paused, and then called off."""
    until = (datetime.now(UTC) + LONG).replace(microsecond=0)  # as it is stored
    operate(FreezeOperator, reason="look at it", until=until.isoformat())
    with while_waiting(abort), pytest.raises(AirflowFailException, match=ABORTED):
        run(SetDesiredStateOperator, **wave(2))
    assert datetime.now(UTC) < until


def test_rollout_of_several_tiers(run, members, while_waiting):
    """The end of one is no end of the other's wait."""
    for tier in ("app", "web"):
        members(f"{tier}-1", f"{tier}-2", tier=tier)
    begin("app", "web")
    until = (datetime.now(UTC) + LONG).replace(microsecond=0)  # as it is stored
    operate(FreezeOperator, "app", reason="look at it", until=until.isoformat())
    with while_waiting(promote, lambda: abort("app")), pytest.raises(AirflowFailException, match=f"app: {ABORTED}"):
        run(SetDesiredStateOperator, **wave(2, ["app", "web"]))
    assert datetime.now(UTC) < until


# Gates ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gate(prometheus_connection, metric):
    """The parameters of a gate of the rollout, which takes long and then passes."""
    prometheus_connection.set(metric, 0)
    return {"task_id": "gate", "query": metric, "condition": "== 0", "initial_delay": LONG, "rollout_tier": "web"}


def test_abort_ends_a_gate(run, rollout, while_waiting, gate):
    """It fails without retries, and without a measurement."""
    with while_waiting(abort), pytest.raises(AirflowFailException, match=ABORTED):
        run(MetricGateOperator, **gate)


def test_promotion_ends_a_gate(run, rollout, while_waiting, gate, capsys):
    """It passes, and says why it has measured nothing."""
    with while_waiting(promote):
        assert run(MetricGateOperator, **gate) == []
    said = "There is nothing left to measure: generation 2 was promoted by Dag operate, run manual__9, task act at "
    assert said in capsys.readouterr().out


def test_gate_of_a_rollout_that_was_aborted_before(run, rollout, gate):
    """While another task of the gate ran, or a wave."""
    abort()
    with pytest.raises(AirflowFailException, match=ABORTED):
        run(MetricGateOperator, **gate)


def test_gate_of_a_rollout_that_was_promoted_before(run, rollout, gate):
    """It has nothing to do."""
    promote()
    assert run(MetricGateOperator, **gate) == []


def test_gate_after_the_last_wave_measures(run, rollout, gate):
    """What the rollout itself promoted, nobody has let go on early."""
    SetDesiredStateOperator(environment="demo", **wave(2)).execute(make_context(task_id="wave_2"))
    assert len(run(MetricGateOperator, **gate | {"initial_delay": timedelta(0)})) == 1


def test_gate_of_no_rollout_measures(run, consul_kv, gate):
    """Nor does it wait for one: there is not even a tier."""
    assert len(run(MetricGateOperator, **gate | {"initial_delay": timedelta(0)})) == 1
    assert dict(consul_kv) == {}
