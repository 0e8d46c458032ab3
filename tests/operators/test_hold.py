"""Writes outside a change window, against a real Consul: they wait for the next opening, and then look again."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from functools import partial

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, NoMembers, WriteRefused
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from airflow_provider_chefconsul.operators.transitions import TransitionsOperator
from airflow_provider_chefconsul.triggers.transition import TransitionTrigger
from airflow_provider_chefconsul.triggers.window import WindowTrigger
from tests.support.airflow_home import make_context, run_trigger
from tests.support.clock import set_clock
from tests.support.factory import make_lease, make_report

pytestmark = pytest.mark.usefixtures("consul_connection")
WINDOW = ChangeWindow("Mon-Thu 09:00-16:00", "Fri 09:00-12:00", timezone="Europe/Berlin")
SUNDAY, OPEN = "2026-11-29T12:00:00+01:00", "2026-11-30T09:00:00+01:00"
HOUR = timedelta(hours=1)
SAID = (
    "demo: outside the change window Mon-Thu 09:00-16:00, Fri 09:00-12:00 Europe/Berlin, which is open again from "
    "2026-11-30 09:00 CET to 2026-11-30 16:00 CET; nothing is written before"
)
A_MOMENT = 0.3
OVER = {"is_over": True, "error": ""}
SHORT = ConvergencePolicy(timeout=timedelta(seconds=20))
TIER = {"environment": "demo", "tier": "web", "state": "converged", "values": {"release": "2.5.0"}, "window": WINDOW}


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    """What is deferred is deferred at once, and who waits for a window looks at the clock all the time."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.window._LOOK", 0.01)


@pytest.fixture
def clock(monkeypatch):
    """Set the clock."""
    return partial(set_clock, monkeypatch)


@pytest.fixture(params=["blocking", "deferred"])
def execute(request):
    """Run an operator to its end: in the worker, or with a deferral for each wait."""

    def run(kind, context=None, **options):
        operator = kind(deferrable=request.param == "deferred", **options)
        return finish(operator, operator.execute, context or make_context())

    return run


def finish(operator, call, context, *event):
    """Call a method of an operator, and those that its deferrals lead to, until it ends."""
    try:
        return call(context, *event)
    except TaskDeferred as deferred:
        resume = getattr(operator, deferred.method_name)
        return finish(operator, resume, context, asyncio.run(run_trigger(deferred.trigger)))


def declare(**overrides):
    """An operator that declares web and can defer, for a tier without nodes."""
    return SetDesiredStateOperator(**TIER | {"task_id": "set", "allow_empty": True, "deferrable": True} | overrides)


def hold_of(call, *arguments) -> TaskDeferred:
    """How a task defers to its change window; a scheduler does not end that wait."""
    with pytest.raises(TaskDeferred) as deferred:
        call(*arguments)
    assert isinstance(deferred.value.trigger, WindowTrigger)
    assert (deferred.value.method_name, deferred.value.timeout) == ("execute_again", None)
    return deferred.value


def test_write_outside_waits_for_the_opening(execute, clock, consul_kv, capsys):
    """The log says once when that is."""
    clock(SUNDAY, leap=HOUR)
    assert execute(SetDesiredStateOperator, task_id="set", allow_empty=True, **TIER) == {"web": 1}
    assert json.loads(consul_kv["demo/web/desired"])["generation"] == 1
    assert capsys.readouterr().out.count(SAID) == 1


def test_nothing_is_written_meanwhile(clock, consul_kv):
    """Nor when the task is cleared: it waits again."""
    clock(SUNDAY)
    for number in (1, 2):
        hold_of(declare().execute, make_context(try_number=number))
    assert dict(consul_kv) == {}


def test_open_window_holds_nothing_up(execute, clock, capsys):
    """Nor does having none."""
    clock(OPEN)
    assert execute(SetDesiredStateOperator, task_id="set", allow_empty=True, **TIER) == {"web": 1}
    clock(SUNDAY)
    assert execute(
        SetDesiredStateOperator, task_id="set", allow_empty=True, **TIER | {"state": "off", "window": None}
    ) == {"web": 2}
    assert "window" not in capsys.readouterr().out


def test_task_that_has_nothing_to_write_waits_for_nothing(execute, clock, consul_kv, members):
    """A retry at night goes on waiting for the nodes of what was declared in the daytime."""
    members("web-1")
    clock(OPEN)
    declare().execute(make_context(task_id="move"))
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1).to_json()
    before = {key: text for key, text in consul_kv.items() if "/_journal/" not in key}
    clock(SUNDAY)
    again = make_context(task_id="move", try_number=2)
    assert execute(TransitionOperator, again, task_id="move", command=None, policy=SHORT, **TIER) == {"web": 1}
    assert {key: text for key, text in consul_kv.items() if "/_journal/" not in key} == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sequence": "2020-01-01T00:00:00Z"}, AirflowFailException),
        ({"allowed_from": ["waiting"]}, WriteRefused),
        ({"tier": "wbe", "allow_empty": False}, NoMembers),
    ],
)
def test_write_that_is_refused_waits_for_nothing(execute, clock, options, error):
    """Nobody has to learn in the morning what is known in the evening."""
    clock(OPEN)
    declare(state="off").execute(make_context(run_id="manual__0"))
    clock(SUNDAY)
    with pytest.raises(error):
        execute(SetDesiredStateOperator, **TIER | {"task_id": "set", "allow_empty": True} | options)


def test_after_the_wait_it_looks_again(clock, consul_kv):
    """At the window, should it have closed meanwhile, and at what others have written."""
    clock(SUNDAY)
    operator = declare()
    hold_of(operator.execute, make_context())
    hold_of(operator.execute_again, make_context(), OVER)
    clock(OPEN)
    declare(state="off", sequence="2030-01-01T00:00:00Z").execute(make_context(run_id="manual__9"))
    with pytest.raises(AirflowFailException, match="demo/web: the write is stale"):
        operator.execute_again(make_context(), OVER)
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["state"] == "off"


def test_retry_does_not_wait_to_learn_that_it_was_overwritten(execute, clock, members):
    """It would only overwrite in the morning what somebody else has written since."""
    members("web-1")
    clock(OPEN)
    declare(sequence=1).execute(make_context())
    declare(sequence=1, state="off").execute(make_context(run_id="manual__9"))
    clock(SUNDAY)
    options = TIER | {"task_id": "set", "sequence": 1, "wait": SHORT}
    with pytest.raises(AirflowFailException, match="run manual__9"):
        execute(SetDesiredStateOperator, make_context(try_number=2), **options)


def test_wait_in_a_worker_ends_when_airflow_stops_the_task(clock, consul_kv):
    """Nothing is written after that."""
    clock(SUNDAY)
    operator = declare(deferrable=False)
    stopping = threading.Timer(A_MOMENT, operator.on_kill)
    stopping.start()
    with pytest.raises(AirflowException, match="Airflow stopped this task"):
        operator.execute(make_context())
    assert dict(consul_kv) == {}


def test_each_step_looks_again(clock, consul_kv, members):
    """What was declared in the daytime goes on at night; the next step waits, and then nothing is made twice."""
    for tier in ("web", "db"):
        members(f"{tier}-1", tier=tier)
    clock(OPEN)
    steps = [("web", "off"), ("db", "off")]
    operator = TransitionsOperator(
        task_id="steps", environment="demo", steps=steps, window=WINDOW, command=None, policy=SHORT, deferrable=True
    )
    context = make_context(task_id="steps")
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    assert isinstance(deferred.value.trigger, TransitionTrigger)
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1, state="off").to_json()
    clock(SUNDAY)
    event = asyncio.run(run_trigger(deferred.value.trigger))
    hold_of(operator.execute_complete, context, event)
    assert "demo/db/desired" not in consul_kv
    clock(OPEN)
    consul_kv["demo/db/nodes/db-1"] = make_report("db-1", tier="db", generation=1, state="off").to_json()
    assert finish(operator, operator.execute_again, context, OVER) == {"web": 1, "db": 1}


def test_lease_is_taken_when_the_window_opens(execute, clock, consul_kv, capsys):
    """So that nobody is kept out of an environment in which nothing may happen yet."""
    clock(SUNDAY, leap=HOUR)
    execute(AcquireLeaseOperator, task_id="acquire", environment="demo", window=WINDOW)
    assert json.loads(consul_kv["demo/_lease"])["holder"]["run_id"] == "manual__1"
    assert capsys.readouterr().out.count(SAID) == 1


def test_lease_of_another_is_not_waited_for_before_the_window(clock, consul_kv):
    """The timeout for the other Dag run begins when the window opens."""
    clock(SUNDAY)
    other = make_lease(holder=DagRun("other_rollout", "manual__9"))
    consul_kv["demo/_lease"] = other.to_json()
    operator = AcquireLeaseOperator(task_id="acquire", environment="demo", window=WINDOW, deferrable=True)
    hold_of(operator.execute, make_context())
    assert consul_kv["demo/_lease"] == other.to_json()


def test_lease_that_the_dag_run_has_is_kept_at_any_time(execute, clock, consul_kv):
    """Clearing a task clears its setup, too, and what goes on at night needs the lease."""
    clock(SUNDAY)
    consul_kv["demo/_lease"] = make_lease().to_json()
    execute(AcquireLeaseOperator, task_id="acquire", environment="demo", window=WINDOW)
    assert json.loads(consul_kv["demo/_lease"])["expires_at"] > make_lease().expires_at


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SetDesiredStateOperator, TIER),
        (TransitionOperator, TIER),
        (TransitionsOperator, {"environment": "demo", "steps": [("web", "off")]}),
        (AcquireLeaseOperator, {"environment": "demo"}),
    ],
)
def test_window_that_is_none(kind, options):
    """It is refused when the Dag is parsed."""
    with pytest.raises(InvalidInput, match="window must be a ChangeWindow, not 'Mon-Thu 09:00-16:00'"):
        kind(task_id="any", **options | {"window": "Mon-Thu 09:00-16:00"})


def test_error_of_the_wait_is_raised():
    """A retry may find that it is gone."""
    with pytest.raises(ChefConsulError, match="UnusableConnection: no"):
        declare().execute_again(make_context(), {"is_over": False, "error": "UnusableConnection: no"})


def test_write_that_moves_nothing_waits_for_nothing(execute, clock, consul_kv, capsys):
    """A nightly Dag that declares what stands records only its later logical time."""
    clock(OPEN)
    declare(sequence=1).execute(make_context())
    clock(SUNDAY)
    execute(SetDesiredStateOperator, task_id="again", allow_empty=True, sequence=2, **TIER)
    assert json.loads(consul_kv["demo/web/desired"])["sequence"] == 2
    assert "outside the change window" not in capsys.readouterr().out
