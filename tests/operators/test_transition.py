"""TransitionOperator: declare, nudge and wait in one task. Real agents run a simulated chef-client."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import consul
import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, NoMembers
from airflow_provider_chefconsul.nudge.request import NudgeRequest
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from airflow_provider_chefconsul.triggers.transition import TransitionTrigger
from demo.chef_nodes import ChefNodes
from demo.cluster import ConsulCluster
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.raw_keys import RawKeys
from tests.support.waiting import wait_until

WATCHED = "watched"  # the environment whose app nodes run by themselves
NODES = ["web-1", "web-2"]
ONE_SECOND = ConvergencePolicy(timeout=timedelta(seconds=1))


@pytest.fixture(scope="module")
def chef_nodes(consul_binary, tmp_path_factory):
    """Two web nodes that only a nudge starts, and an app node that watches its key."""
    with ConsulCluster(consul_binary, tmp_path_factory.mktemp("agents"), in_memory=True) as cluster:
        nodes = ChefNodes(cluster, tmp_path_factory.mktemp("nodes"))
        for node in NODES:
            nodes.add(node, "web")
        nodes.add("app-1", "app", watched_environment=WATCHED)
        cluster.wait_until_ready()
        yield nodes


@pytest.fixture(params=["blocking", "deferred"])
def transition(request, nodes, environment, monkeypatch):
    """Run the operator to its end: in the worker, or after half a second by its trigger."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(seconds=0.5))

    def run(*, context=None, **overrides):
        operator = make_operator(**{"environment": environment, "deferrable": request.param == "deferred"} | overrides)
        context = make_context() if context is None else context
        try:
            return operator.execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(context, event)

    return run


def make_operator(**overrides):
    """Moves web to release 2.5.0; nobody begins by itself, so nobody is waited for before the nudge."""
    defaults = {
        "task_id": "web_converged",
        "environment": "demo",
        "tier": "web",
        "state": "converged",
        "values": {"release": "2.5.0"},
        "policy": ConvergencePolicy(timeout=timedelta(seconds=40)),
        "nudge_after": timedelta(0),
    }
    return TransitionOperator(**defaults | overrides)


def again(number=2, **overrides):
    """The context of a later try."""
    return make_context(try_number=number, **overrides)


def test_one_task_declares_nudges_and_waits(transition, nodes, keys, environment, capsys):
    """Each node runs once; the log says which of the three the task is doing."""
    assert transition() == {"web": 1}
    assert [nodes.runs(node) for node in NODES] == [1, 1]
    said = capsys.readouterr().out
    in_order = [
        f"declare: {environment}/web: all nodes are assigned generation 1, state converged",
        "nudge: running 'chef-client' on 2 that have not begun: web-1, web-2",
        f"wait: {environment}/web generation 1: 2 of 2 members converged",
    ]
    places = [said.index(line) for line in in_order]
    assert places == sorted(places)
    assert "_history/web/000000000001" in keys


async def test_nodes_that_begin_by_themselves_are_not_nudged(nodes, capsys):
    """A fleet that watches its key is not run twice, though its runs outlast the moment before the nudge."""
    nodes.begin(WATCHED)
    nodes.set_options("app-1", "--seconds 3")
    target = {"environment": WATCHED, "tier": "app", "values": {"release": f"2.5.{time.time_ns()}"}}
    declare = SetDesiredStateOperator(task_id="set", state="converged", **target)
    generations = await asyncio.to_thread(declare.execute, make_context())
    await asyncio.to_thread(wait_until, lambda: '"running"' in nodes_report(nodes))
    now = datetime.now(UTC)
    trigger = TransitionTrigger(
        consul_conn_id="consul_default",
        environment=WATCHED,
        waits={"app": Wait(generations["app"], now + timedelta(seconds=40)).to_fields()},
        policy=ConvergencePolicy().to_fields(),
        members="service",
        nudge=NudgeRequest("chef-client", "job", 1, now).to_fields(),
    )
    assert (await run_trigger(trigger))["ending"] == "converged"
    assert nodes.runs("app-1") == 1
    assert "nudge: nobody needs one" in capsys.readouterr().out


def test_run_from_before_this_try_is_nudged(transition, nodes, keys):
    """Its client may have been killed, and it would be under way forever."""
    transition()
    report = json.loads(keys["web/nodes/web-1"])
    keys["web/nodes/web-1"] = json.dumps({**report, "status": "running", "finished_at": None})
    assert transition(context=make_context(run_id="manual__2")) == {"web": 1}
    assert [nodes.runs(node) for node in NODES] == [2, 1]


def test_cleared_after_a_failure_it_goes_on_where_the_nodes_stand(transition, nodes, keys):
    """The generation stays, only the node that failed runs again, and its old failure is history."""
    nodes.set_options("web-2", "--fail")
    with pytest.raises(AirflowFailException, match=r"1 of 2 members present failed \(web-2\)"):
        transition()
    wait_until(lambda: nodes.runs("web-1") == 1)
    nodes.set_options("web-2", "")
    assert transition(context=again()) == {"web": 1}
    assert [nodes.runs(node) for node in NODES] == [1, 2]
    assert "_history/web/000000000002" not in keys


def test_command_that_fails_without_a_report_runs_again_on_the_next_try(transition, nodes, capsys):
    """Nothing was reported, so the wait times out; whoever mends the node clears the task, and the command runs."""
    nodes.set_options("web-2", "--no-such-option")
    with pytest.raises(AirflowSensorTimeout, match="1 of 2 members present converged"):
        transition(policy=ConvergencePolicy(timeout=timedelta(seconds=6)))
    assert "nudge: web-2: 'chef-client' exited with 43" in capsys.readouterr().out
    nodes.set_options("web-2", "")
    assert transition(context=again()) == {"web": 1}
    assert [nodes.runs(node) for node in NODES] == [1, 2]


def test_lost_worker_runs_nothing_twice(nodes, environment, monkeypatch):
    """The next try finds the runs that are under way by the job's name, and waits for them."""
    for node in NODES:
        nodes.set_options(node, "--seconds 3")
    operator = make_operator(environment=environment, deferrable=False)
    stopping = threading.Thread(
        target=lambda: (wait_until(lambda: nodes.runs("web-1") == nodes.runs("web-2") == 1), operator.on_kill())
    )
    stopping.start()
    with pytest.raises(AirflowException, match="Airflow stopped this task"):
        operator.execute(make_context())
    stopping.join()
    assert make_operator(environment=environment, deferrable=False).execute(again()) == {"web": 1}
    assert [nodes.runs(node) for node in NODES] == [1, 1]


def test_failure_counts_when_this_try_made_the_generation(transition, nodes):
    """A try that was lost before it wrote leaves nothing behind: the next one's failures are no history."""
    nodes.set_options("web-1", "--fail")
    with pytest.raises(AirflowFailException, match="failed"):
        transition(context=again())


def test_converged_tier_is_left_alone(transition, nodes, keys):
    """Nothing is written and nobody is nudged."""
    transition()
    before = dict(keys)
    assert transition(context=again()) == {"web": 1}
    assert dict(keys) == before
    assert [nodes.runs(node) for node in NODES] == [1, 1]


def test_no_command_no_nudge(transition, nodes):
    """For nodes that watch their key, and for tokens that may not fire events."""
    with pytest.raises(AirflowSensorTimeout):
        transition(command=None, policy=ONE_SECOND)
    assert [nodes.runs(node) for node in NODES] == [0, 0]


def test_what_was_declared_is_known_when_the_wait_fails(transition, nodes):
    """A task that fails returns nothing, and a rollback needs the generation."""
    nodes.set_options("web-1", "--fail")
    context = make_context()
    with pytest.raises(AirflowFailException):
        transition(context=context)
    context["ti"].xcom_push.assert_called_once_with("return_value", {"web": 1})


def test_no_xcom_where_none_is_wanted(transition):
    """As with every operator."""
    context = make_context()
    transition(context=context, do_xcom_push=False)
    context["ti"].xcom_push.assert_not_called()


def test_several_tiers_are_one_nudge(transition, nodes, environment, capsys):
    """And one transaction, and one wait."""
    tiers = ["web", "app"]
    nodes.set_options("app-1", "--fail")
    with pytest.raises(AirflowFailException, match=f"{environment}/app: 1 of 1 members present failed"):
        transition(tier=tiers)
    assert "that have not begun: app-1, web-1, web-2" in capsys.readouterr().out


def test_tier_without_members_is_an_error(transition, keys):
    """Nobody to wait for is never success, and nothing is written."""
    with pytest.raises(NoMembers, match="/db has no members"):
        transition(tier="db")
    assert not dict(keys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"command": ""}, "command must be a shell command line, or None for no nudge, not ''"),
        ({"command": 3}, "command must be a shell command line, or None for no nudge, not 3"),
        ({"command": "x" * 140_000}, "cannot be started"),
        ({"nudge_after": 3}, "nudge_after must be a timedelta of zero or more, not 3"),
        ({"nudge_after": timedelta(seconds=-1)}, "nudge_after must be a timedelta of zero or more"),
        ({"max_parallel": 0}, "max_parallel must be a number of nodes from 1, or None, not 0"),
        ({"prefix_per_node": 1}, "prefix_per_node must be text or None, not 1"),
        ({"policy": "100%"}, "policy must be a ConvergencePolicy"),
        ({"state": "a b"}, "state 'a b' is not a name"),
    ],
)
def test_bad_input(wrong, words):
    """Each is one clear error when the Dag is parsed."""
    with pytest.raises(InvalidInput, match=words):
        make_operator(**wrong)


def test_rendered_command_is_checked_before_anything_is_written(nodes, environment, keys):
    """What a template became may be what no node could start."""
    operator = make_operator(environment=environment, command="{{ params.command }}")
    operator.command = " "
    with pytest.raises(InvalidInput, match="command must be a shell command line"):
        operator.execute(make_context())
    assert not dict(keys)


def test_nudge_that_is_forbidden_ends_the_task(acl_consul, consul_root, monkeypatch):
    """Waiting for nodes that nobody may nudge would end in a timeout that says nothing."""
    read = "".join(f'{kind}_prefix "" {{ policy = "read" }} ' for kind in ("node", "service", "agent"))
    rules = f'key_prefix "{consul_root}/" {{ policy = "write" }} {read}'
    acl_consul.register("web-1", tier="web")
    connect(monkeypatch, acl_consul.port, prefix=consul_root, password=acl_consul.create_token(rules))
    with pytest.raises(ChefConsulError, match="AccessDenied"):
        make_operator(deferrable=False).execute(make_context())


@pytest.mark.parametrize("event", [None, {}, {"ending": "converged"}])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be an outcome."""
    with pytest.raises(ChefConsulError, match="the trigger's event is not the outcome of a wait"):
        make_operator().execute_complete(make_context(), event)


def nodes_report(nodes):
    """What the watching node has reported."""
    client = consul.Consul(host="127.0.0.1", port=nodes.cluster.http_port)
    return RawKeys(client, f"chefconsul/{WATCHED}").get("app/nodes/app-1", "")


def test_retry_does_not_overwrite_what_came_since(transition, nodes, environment, keys):
    """A worker was lost after its write, and another Dag run has written before the retry: its release stays."""
    nodes.set_options("web-1", "--fail")
    with pytest.raises(AirflowFailException):
        transition()
    fix = {"environment": environment, "tier": "web", "state": "converged", "values": {"release": "2.5.1"}}
    SetDesiredStateOperator(task_id="fix", **fix).execute(make_context(run_id="manual__9"))

    def written() -> dict[str, str]:
        return {key: text for key, text in keys.items() if "/nodes/" not in key}  # the nodes go on reporting

    before = written()
    words = "/web: generation 1, which an earlier try of this task declared, is superseded by generation 2"
    with pytest.raises(AirflowFailException, match=words):
        transition(context=again())
    with pytest.raises(AirflowSkipException, match=words):
        transition(context=again(3), on_stale="skip")
    assert written() == before


def test_policy_that_a_test_of_the_dag_changed(nodes, environment):
    """The attribute is what counts, so that such a test need not wait for as long as production does."""
    operator = make_operator(environment=environment, command=None, deferrable=False)
    operator.policy = replace(operator.policy, timeout=timedelta(seconds=1))
    with pytest.raises(AirflowSensorTimeout):
        operator.execute(make_context())


def test_command_that_a_template_made_none(transition, nodes):
    """Nobody is nudged."""
    with pytest.raises(AirflowSensorTimeout):
        transition(command="None", policy=ONE_SECOND)
    assert [nodes.runs(node) for node in NODES] == [0, 0]
