"""TransitionsOperator: several transitions in one task. Real agents run a simulated chef-client."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.exceptions import InvalidInput, WriteRefused
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.transitions import TransitionsOperator
from demo.chef_nodes import ChefNodes
from demo.cluster import ConsulCluster
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_lease, make_report, make_writer
from tests.support.waiting import wait_until

STEPS = [("web", "off"), ("app", "off"), ("app", "converged"), ("web", "converged")]
NODES = ["web-1", "app-1"]


@pytest.fixture(scope="module")
def chef_nodes(consul_binary, tmp_path_factory):
    """A node for each tier, which only a nudge starts."""
    with ConsulCluster(consul_binary, tmp_path_factory.mktemp("agents"), in_memory=True) as cluster:
        nodes = ChefNodes(cluster, tmp_path_factory.mktemp("nodes"))
        for node in NODES:
            nodes.add(node, node.partition("-")[0])
        cluster.wait_until_ready()
        yield nodes


@pytest.fixture(params=["blocking", "deferred"])
def walk(request, nodes, environment, monkeypatch):
    """Run the operator to its end: in the worker, or with a deferral for each step."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def run(*, context=None, **overrides):
        options = {"environment": environment, "deferrable": request.param == "deferred"} | overrides
        operator, context = make_operator(**options), context or make_context()
        call, arguments = operator.execute, (context,)
        while True:
            try:
                return call(*arguments)
            except TaskDeferred as deferred:
                run.triggers.append(deferred.trigger)
                event = asyncio.run(run_trigger(deferred.trigger))
                operator = make_operator(**options)  # Airflow resumes in another process
                call, arguments = getattr(operator, deferred.method_name), (context, event)

    run.triggers = []
    return run


def make_operator(**overrides):
    """Takes web and app off and up again; nobody begins by itself, so nobody is waited for before the nudge."""
    defaults = {
        "task_id": "transitions",
        "environment": "demo",
        "steps": STEPS,
        "values": {"release": "2.5.0"},
        "policy": ConvergencePolicy(timeout=timedelta(seconds=40)),
        "nudge_after": timedelta(0),
    }
    return TransitionsOperator(**defaults | overrides)


def writer(keys, tier):
    """Which transition wrote the tier's desired state."""
    return json.loads(keys[f"{tier}/desired"])["written_by"].get("transition")


def test_one_after_the_other(walk, nodes, keys, capsys):
    """Each node runs once for each of its transitions, all with the same slots; the log has a line for each."""
    assert walk(slots=1) == {"web": 2, "app": 2}
    assert [json.loads(keys[f"{tier}/desired"])["stable"]["max_parallel"] for tier in ("web", "app")] == [1, 1]
    assert [nodes.runs(node) for node in NODES] == [2, 2]
    assert (writer(keys, "web"), writer(keys, "app")) == (4, 3)
    said = capsys.readouterr().out
    lines = [f"Step {number} of 4: {tier} → {state}" for number, (tier, state) in enumerate(STEPS, start=1)]
    places = [said.index(line) for line in lines]
    assert places == sorted(places)


def test_nobody_is_nudged_where_the_command_renders_to_none(walk, nodes, keys, environment):
    """Not for a later step either: a template makes "None" of None."""
    for tier, state in STEPS[:2]:
        generation = {"generation": 1, "state": state, "node": f"{tier}-1", "tier": tier}
        keys[f"{tier}/nodes/{tier}-1"] = make_report(**generation).to_json()
    assert walk(command="None", steps=STEPS[:2], nudge_after=timedelta(0)) == {"web": 1, "app": 1}
    assert [trigger.nudge for trigger in walk.triggers] == [None] * len(walk.triggers)
    assert [nodes.runs(node) for node in NODES] == [0, 0]


def test_cleared_after_a_failure_it_goes_on_at_the_step(walk, nodes, keys, capsys):
    """What is behind it is not declared again: web stays off, and no generation is made twice."""
    nodes.set_options("app-1", "--fail")
    with pytest.raises(AirflowFailException, match=r"failed \(app-1\)"):
        walk()
    assert (writer(keys, "web"), writer(keys, "app")) == (1, 2)
    nodes.set_options("app-1", "")
    capsys.readouterr()
    assert walk(context=make_context(try_number=2)) == {"web": 2, "app": 2}
    said = capsys.readouterr().out
    assert "Step 1 of 4" not in said
    assert "Step 2 of 4: app → off" in said
    assert [nodes.runs(node) for node in NODES] == [2, 3]


def test_cleared_after_success_it_changes_nothing(walk, nodes, keys):
    """As with a single transition."""
    walk()
    before = dict(keys)
    assert walk(context=make_context(try_number=2)) == {"web": 2, "app": 2}
    assert dict(keys) == before
    assert [nodes.runs(node) for node in NODES] == [2, 2]


def test_another_run_begins_at_the_beginning(walk, nodes, keys):
    """Only what this very task wrote says where it stands."""
    walk()
    assert walk(context=make_context(run_id="manual__2")) == {"web": 4, "app": 4}


def test_lease_that_is_lost_in_the_middle_ends_it(walk, nodes, keys, environment):
    """The next write is refused, and nothing is written after it."""
    keys["_lease"] = make_lease(expires_at="2099-01-01T00:00:00Z").to_json()
    nodes.set_options("web-1", "--seconds 2")
    loser = make_writer()

    async def take_over():
        await asyncio.to_thread(wait_until, lambda: nodes.runs("web-1") == 1)
        lease = make_lease(holder=DagRun("other_rollout", "manual__9"), expires_at="2099-01-01T00:00:00Z")
        mark = Keys("any").lost_lease("e", loser.dag_id, loser.run_id).removeprefix("any/e/")
        keys[mark] = keys["_lease"] = lease.to_json()

    async def both():
        return await asyncio.gather(asyncio.to_thread(walk), take_over(), return_exceptions=True)

    ended, _ = asyncio.run(both())
    assert isinstance(ended, AirflowFailException)
    assert "other_rollout" in str(ended)
    assert "app/desired" not in keys


def test_model_is_asked_at_each_write(walk, keys, environment):
    """A tier's first step is checked against the state in which it is."""
    model = StateModel(["off", "waiting", "converged"], [("converged", "off"), ("off", "converged")])
    target = {"environment": environment, "tier": "web", "state": "waiting"}
    SetDesiredStateOperator(task_id="set", **target).execute(make_context(run_id="manual__0"))
    with pytest.raises(WriteRefused, match="state off is allowed from .*, but the tier is in state waiting"):
        walk(model=model)
    assert "app/desired" not in keys


def test_changed_steps_are_refused(walk, nodes, keys):
    """A Dag that was edited in the middle of a run says so, and writes nothing; nor does one with other values."""
    nodes.set_options("app-1", "--fail")
    with pytest.raises(AirflowFailException):
        walk()
    before = dict(keys)
    for changed in ({"steps": STEPS[2:]}, {"values": {"release": "2.6.0"}}):
        with pytest.raises(WriteRefused, match="cannot go on after step 2: in tier"):
            walk(context=make_context(try_number=2), **changed)
    assert dict(keys) == before


def test_undone_step_is_refused(walk, nodes, keys, environment):
    """Somebody took web back while app was mended: to go on would be green with web on what it had before."""
    nodes.set_options("app-1", "--fail")
    with pytest.raises(AirflowFailException):
        walk()
    target = {"environment": environment, "tier": "web", "state": "waiting"}
    SetDesiredStateOperator(task_id="fix", **target).execute(make_context(run_id="manual__9"))
    nodes.set_options("app-1", "")
    words = "in tier web, generation 2, state waiting stands, written by Dag shop_rollout, run manual__9, task"
    with pytest.raises(WriteRefused, match=words):
        walk(context=make_context(try_number=2))


def test_steps_that_find_their_content_end(walk, nodes, environment):
    """Another run finds what it would write; however long each wait takes, it goes forward."""
    walk(steps=[("web", "converged"), ("app", "converged")])
    policy = ConvergencePolicy(min_healthy_time=timedelta(seconds=1), timeout=timedelta(seconds=40))
    again = make_context(run_id="manual__2")
    steps = [("web", "converged"), ("app", "converged")]
    assert walk(context=again, steps=steps, policy=policy) == {"web": 1, "app": 1}


@pytest.mark.parametrize(("on_stale", "tier", "ending"), [
    ("skip", "web", AirflowSkipException), ("skip", "app", AirflowFailException), ("fail", "web", AirflowFailException),
])  # fmt: skip
def test_stale_step_never_hides_a_half_done_rollout(walk, environment, on_stale, tier, ending):
    """It is skipped only while nothing is written."""
    later = {"environment": environment, "tier": tier, "state": "waiting", "sequence": "2030-01-01T00:00:00Z"}
    SetDesiredStateOperator(task_id="later", **later).execute(make_context(run_id="manual__9"))
    with pytest.raises(ending, match=f"{environment}/{tier}: the write is stale"):
        walk(on_stale=on_stale)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": []}, "steps must be a list of pairs"),
        ({"steps": [("web", "off/")]}, "state 'off/' is not a name"),
        ({"environment": "de mo"}, "environment 'de mo' is not a name"),
        ({"values": "release"}, "values must be a mapping"),
        ({"command": ""}, "command must be a shell command line"),
        ({"on_stale": "no"}, 'on_stale must be "fail" or "skip"'),
        ({"sequence": "yesterday"}, "sequence must be seconds since the epoch"),
    ],
)
def test_bad_input(wrong, words):
    """Each is one clear error when the Dag is parsed."""
    with pytest.raises(InvalidInput, match=words):
        make_operator(**wrong)
