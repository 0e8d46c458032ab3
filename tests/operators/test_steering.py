"""Freezing, promoting and aborting by a Dag's tasks, and tasks whose tiers are frozen, against a real Consul."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import (
    ChefConsulError,
    InvalidInput,
    MalformedDocument,
    NotDeclared,
    TierFrozen,
    WriteRefused,
)
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.freeze import FreezeOperator, UnfreezeOperator
from airflow_provider_chefconsul.operators.lease import BreakLeaseOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.operators.steering import AbortOperator, PromoteOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from airflow_provider_chefconsul.operators.transitions import TransitionsOperator
from airflow_provider_chefconsul.task_groups.wave_rollout import rollout
from airflow_provider_chefconsul.triggers.frozen import FrozenTrigger
from airflow_provider_chefconsul.triggers.outcome import Ending, Outcome
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_change, make_lease, make_report, make_writer
from tests.support.follower import following

pytestmark = pytest.mark.usefixtures("consul_connection")
OPERATE = {"dag_id": "operate", "run_id": "manual__9", "task_id": "act"}
TIER = {"environment": "demo", "tier": "web"}


def operate(operator_class, **overrides):
    """Run a task of another Dag."""
    operator = operator_class(**{"task_id": "act", "environment": "demo"} | overrides)
    return operator.execute(make_context(**OPERATE | {"task_id": operator.task_id}))


@pytest.fixture
def frozen_for_a_moment(monkeypatch):
    """Freeze a tier while a block runs; somebody ends it as soon as a task waits for that."""
    is_noticed, wait = threading.Event(), FrozenTrigger.wait

    async def noticing(self, **options):
        is_noticed.set()
        return await wait(self, **options)

    def end():
        if is_noticed.wait(120):
            operate(UnfreezeOperator, tier="web")

    @contextmanager
    def freeze():
        monkeypatch.setattr(FrozenTrigger, "wait", noticing)
        operate(FreezeOperator, tier="web", reason="evening")
        ending = threading.Thread(target=end)
        ending.start()
        try:
            yield
        finally:
            is_noticed.set()
            ending.join()

    return freeze


@pytest.fixture(params=["blocking", "deferred"])
def run(request, monkeypatch, consul_kv):
    """Run an operator to its end: in the worker, or by its triggers after detours through the database."""
    consul_kv["demo/web/locks/migrate"] = "{}"  # so there is a tier to freeze
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def to_the_end(make, **context):
        operator = make(deferrable=request.param == "deferred")
        call, arguments = operator.execute, (make_context(**context),)
        triggers = []
        while True:
            try:
                return call(*arguments), triggers
            except TaskDeferred as deferred:
                triggers.append(deferred.trigger)
                assert not isinstance(deferred.trigger, FrozenTrigger) or deferred.timeout is None
                event = asyncio.run(run_trigger(deferred.trigger))
                call, arguments = getattr(operator, deferred.method_name), (make_context(**context), event)

    to_the_end.is_deferred = request.param == "deferred"
    return to_the_end


def declare(release="2.5.0", **overrides):
    """A task that brings web to a release."""
    options = {"task_id": "set", "state": "converged", "values": {"release": release}, "allow_empty": True}
    return SetDesiredStateOperator(**TIER | options | overrides)


# Tasks whose tiers are frozen -----------------------------------------------------------------------------------------


def test_write_waits_for_the_end_of_a_freeze(run, consul_kv, capsys, frozen_for_a_moment):
    """Deferred without a timeout; the log says who, since when, until when and why."""
    with frozen_for_a_moment():
        result, triggers = run(declare)
        assert result == {"web": 1}
    assert [type(each) for each in triggers] == ([FrozenTrigger] if run.is_deferred else [])
    said = "demo/web: waiting, frozen by Dag operate, run manual__9, task act since "
    assert said in capsys.readouterr().out or run.is_deferred


def test_write_that_waits_for_all_its_tiers(run, consul_kv, frozen_for_a_moment):
    """One of two is frozen: nothing is written meanwhile."""
    with frozen_for_a_moment():
        result, _ = run(lambda **options: declare(**options | {"tier": ["app", "web"]}))
    assert result == {"app": 1, "web": 1}


def test_write_may_fail_instead(run, consul_kv):
    """At once, with its retries: the freeze may have ended by then."""
    operate(FreezeOperator, tier="web", reason="evening")
    with pytest.raises(TierFrozen, match="demo/web: frozen by Dag operate"):
        run(lambda **options: declare(**options, on_frozen="fail"))
    assert "demo/web/desired" not in consul_kv


def test_transition_waits_then_goes_on(run, consul_kv, members, frozen_for_a_moment):
    """It declares once the freeze has ended, and then waits for its nodes."""
    members("web-1")

    def make(**options):
        policy = ConvergencePolicy(timeout=timedelta(seconds=60))
        options = TIER | {"task_id": "move", "state": "off", "command": None, "policy": policy} | options
        return TransitionOperator(**options)

    def report():
        while "demo/web/desired" not in consul_kv:
            time.sleep(0.05)
        consul_kv["demo/web/nodes/web-1"] = make_report(generation=1, state="off").to_json()

    reporting = threading.Thread(target=report)
    reporting.start()
    with frozen_for_a_moment():
        result, triggers = run(make)
    reporting.join()
    assert result == {"web": 1}
    assert len(triggers) == (2 if run.is_deferred else 0)


def test_step_of_several_waits(run, consul_kv, members, frozen_for_a_moment):
    """The first step's tier is free and stands already; the second one's is frozen."""
    members("app-1", tier="app")
    members("web-1", tier="web")
    for tier, generation in {"app": 1, "web": 1}.items():
        report = make_report(f"{tier}-1", tier=tier, generation=generation, state="off")
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = report.to_json()

    def make(**options):
        policy = ConvergencePolicy(timeout=timedelta(seconds=60))
        options = {"task_id": "walk", "environment": "demo", "command": None, "policy": policy} | options
        return TransitionsOperator(steps=[("app", "off"), ("web", "off")], **options)

    with frozen_for_a_moment():
        result, _ = run(make)
    assert result == {"app": 1, "web": 1}


def test_hold_in_the_middle_begins_where_consul_stands(cluster, consul_root, consul_kv, members, frozen_for_a_moment):
    """Of a task that was resumed after its first step, and has made two more since: no step is made again."""
    members("app-1", tier="app")
    members("web-1", tier="web")
    steps = [("app", "off"), ("app", "waiting"), ("app", "converged"), ("web", "off")]
    options = {"environment": "demo", "command": None, "policy": ConvergencePolicy(timeout=timedelta(seconds=60))}
    operator = TransitionsOperator(task_id="walk", steps=steps, deferrable=False, **options)
    first = make_change(state="off", values={}, writer=make_writer(task_id="walk", transition=1))

    async def take_the_first_step():
        async with ConsulHook().open_view() as view:
            await write(view, "demo", {"app": first, "web": make_change(state="converged")})

    asyncio.run(take_the_first_step())
    resumed = Outcome(Ending.CONVERGED).to_fields()
    resumed["echo"] = {"number": 1, "generations": {"app": 1}, "has_written": True}
    with (
        following(cluster.http_port, consul_root, [("demo", "app"), ("demo", "web")], ["app-1", "web-1"]),
        frozen_for_a_moment(),
    ):
        assert operator.execute_complete(make_context(task_id="walk"), resumed) == {"app": 3, "web": 2}
    assert json.loads(consul_kv["demo/app/desired"])["stable"]["generation"] == 3


def test_task_that_resumes_with_an_error_fails():
    """As when the key holds something else by then."""
    event = {"is_over": False, "error": "MalformedDocument: demo/_freeze: not JSON"}
    with pytest.raises(ChefConsulError, match="demo/_freeze: not JSON"):
        declare().execute_again(make_context(), event)


def test_malformed_freeze_ends_the_wait(consul_kv):
    """The trigger sends the error."""
    consul_kv["demo/_freeze"] = "{"
    trigger = FrozenTrigger(consul_conn_id="consul_default", environment="demo", tiers=["web"], holder=None)
    payload = asyncio.run(run_trigger(trigger))
    assert payload["error"].startswith("MalformedDocument: ")
    with pytest.raises(MalformedDocument):
        declare().execute(make_context())


def test_rollback_and_a_freeze(consul_kv):
    """It fails, unless it says that it goes ahead."""
    declare("2.4.0").execute(make_context())
    declare("2.5.0").execute(make_context(task_id="again"))
    operate(FreezeOperator, reason="evening")
    with pytest.raises(TierFrozen):
        RollBackOperator(**TIER, task_id="back").execute(make_context(task_id="back"))
    back = RollBackOperator(**TIER, task_id="back", despite_freeze=True)
    assert back.execute(make_context(task_id="back")) == {"web": 3}


# Steering -------------------------------------------------------------------------------------------------------------


def test_promote_and_abort(consul_kv, members):
    """While the rollout's Dag run holds the environment; its next wave passes, or fails without retries."""
    members("web-1", "web-2")
    declare("2.4.0").execute(make_context())
    consul_kv["demo/_lease"] = make_lease().to_json()
    declare("2.5.0", canary=1, wave=(1, 2)).execute(make_context(task_id="wave_1"))
    assert operate(PromoteOperator, tier="web", reason="fine") == {"web": 2}
    assert declare("2.5.0", wave=(2, 2)).execute(make_context(task_id="wave_2")) == {"web": 2}
    declare("2.6.0", canary=1, wave=(1, 2)).execute(make_context(task_id="wave_1"))
    assert operate(AbortOperator, tier="web", reason="errors") == {"web": 2}
    with pytest.raises(AirflowFailException, match="was aborted by Dag operate, run manual__9, task act: errors"):
        declare("2.6.0", wave=(2, 2)).execute(make_context(task_id="wave_2"))
    with pytest.raises(WriteRefused, match="no canary is out, so there is nothing to promote"):
        operate(PromoteOperator, tier="web", task_id="late")


def test_break_lease(consul_kv):
    """The holder is told why; a second time there is nothing to do."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    operate(BreakLeaseOperator, reason="its worker burned down")
    assert "demo/_lease" not in consul_kv
    with pytest.raises(AirflowFailException, match="its worker burned down"):
        declare().execute(make_context())
    operate(BreakLeaseOperator, reason="its worker burned down")


def test_unfreeze_of_what_is_not_frozen(consul_kv):
    """Changes nothing."""
    operate(UnfreezeOperator, tier="web")
    operate(UnfreezeOperator)
    assert dict(consul_kv) == {}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: declare(on_frozen="ignore"), 'on_frozen must be "wait" or "fail", not \'ignore\''),
        (lambda: declare(wave=(3, 2)), r"wave must be the number of a wave and how many there are, such as \(2, 3\)"),
        (lambda: declare(wave="1"), "wave must be the number of a wave"),
        (lambda: FreezeOperator(task_id="f", environment="de mo", reason="x"), "environment 'de mo' is not a name"),
        (lambda: FreezeOperator(task_id="f", environment="demo", tier="a b", reason="x"), "tier 'a b' is not a name"),
        (lambda: UnfreezeOperator(task_id="f", environment="demo", tier=["a b"]), "tier 'a b' is not a name"),
        (lambda: RollBackOperator(task_id="b", **TIER, state="off"), 'state requires to="last_good"'),
        (lambda: RollBackOperator(task_id="b", **TIER, to="last_good", state="o f"), "state 'o f' is not a name"),
        (lambda: RollBackOperator(task_id="b", **TIER, despite_freeze="yes"), "despite_freeze must be True or False"),
    ],
)
def test_bad_input_at_parse(make, problem):
    """One clear error that names the parameter."""
    with pytest.raises(InvalidInput, match=problem):
        make()


@pytest.mark.parametrize(
    ("operator_class", "overrides", "problem"),
    [
        (FreezeOperator, {"reason": " "}, "reason must say why"),
        (FreezeOperator, {"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until lies in the past"),
        (FreezeOperator, {"reason": "x", "until": "noon"}, "until must be a time with an offset"),
        (AbortOperator, {"tier": "web"}, "reason must say why"),
        (BreakLeaseOperator, {"reason": ""}, "reason must say why"),
    ],
)
def test_bad_input_at_run_time(consul_kv, operator_class, overrides, problem):
    """Nothing is changed."""
    with pytest.raises(InvalidInput, match=problem):
        operate(operator_class, **overrides)
    assert dict(consul_kv) == {}


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"tier": "wbe"}, "environment demo has no tier wbe; there are: web"),
        ({"environment": "dmeo"}, "nothing is declared in dmeo yet; check its name and the connection's prefix"),
    ],
)
def test_freeze_of_a_mistyped_name(consul_kv, overrides, problem):
    """It would stop nobody."""
    declare().execute(make_context())
    before = dict(consul_kv)
    with pytest.raises(NotDeclared, match=problem):
        operate(FreezeOperator, reason="evening", **overrides)
    assert dict(consul_kv) == before


def test_last_good(consul_kv, members):
    """What the journal knows to have converged, not what was there before."""
    members("web-1")
    for number, release in enumerate(("2.4.0", "2.5.0", "2.6.0"), start=1):
        task = {"task_id": f"set_{number}"}
        if release == "2.5.0":  # never converges
            declare(release).execute(make_context(**task))
            continue
        consul_kv["demo/web/nodes/web-1"] = make_report(generation=number).to_json()
        policy = ConvergencePolicy(timeout=timedelta(seconds=60))
        declare(release, wait=policy, allow_empty=False).execute(make_context(**task))
    back = RollBackOperator(**TIER, task_id="back", to="last_good", reason="errors")
    assert back.execute(make_context(task_id="back")) == {"web": 4}
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["values"] == {"release": "2.4.0"}
    entries = [json.loads(text) for key, text in sorted(consul_kv.items()) if "/_journal/" in key]
    assert [entry["act"] for entry in entries] == [
        "declared", "converged", "declared", "declared", "converged", "rolled_back",
    ]  # fmt: skip
    assert entries[-1]["reason"] == "errors"


def test_some_nodes_make_no_generation_good(consul_kv, members):
    """A wait for named nodes is told as one for a part of the tier."""
    members("web-1", "web-2")
    consul_kv["demo/web/nodes/web-1"] = make_report(generation=1).to_json()
    policy = ConvergencePolicy(timeout=timedelta(seconds=60))
    declare("2.5.0", wait=policy, allow_empty=False, members=["web-1"]).execute(make_context())
    entries = [json.loads(text) for key, text in sorted(consul_kv.items()) if "/_journal/" in key]
    assert [(entry["act"], entry["wave"] and entry["wave"]["size"]) for entry in entries] == [
        ("declared", None),
        ("converged", "nodes web-1"),
    ]


def test_freeze_that_ends_by_itself(consul_kv):
    """As a person writes it."""
    consul_kv["demo/web/locks/migrate"] = "{}"
    until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    operate(FreezeOperator, tier="web", reason="lunch", until=until)
    assert declare().execute(make_context()) == {"web": 1}


def test_waves_know_their_numbers():
    """For the journal; a rollback of the group goes ahead although somebody froze the tier meanwhile."""
    from airflow.sdk import DAG

    with DAG("waves", schedule=None) as dag:
        rollout("demo", "web", "converged", {"release": "2.5.0"}, waves=[1, "50%", "100%"], auto_revert=True)
    waves = [dag.get_task(f"web_converged.wave_{number}").wave for number in (1, 2, 3)]
    assert waves == [(1, 3), (2, 3), (3, 3)]
    assert dag.get_task("web_converged.revert.roll_back").despite_freeze is True
