"""What transition() adds to a Dag: one task, or a group of three; the tasks' own tests are with them."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest
from airflow.sdk import DAG, TaskGroup
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.transition import NUDGE_AFTER, TransitionOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from airflow_provider_chefconsul.task_groups import transition

separate = partial(transition, separate=True)


@pytest.fixture
def dag():
    """A Dag to put groups into; leaves no current Dag behind."""
    with DAG("rollout", schedule=None) as dag:
        yield dag


def test_one_task_by_default(dag):
    """So that the Dag's graph is the graph of state transitions."""
    off = transition("demo", "web", "off", max_parallel=3, slots="5%", retries=2)
    on = transition("demo", ["web", "app"], "on", command=None, nudge_after=timedelta(seconds=1))
    assert [type(task) for task in dag.tasks] == [TransitionOperator] * 2
    assert [task.task_id for task in dag.tasks] == ["web_off", "web_app_on"]
    assert (off.slots, on.slots) == ("5%", None)
    assert (off.command, off.nudge_after, off.max_parallel, off.retries) == ("chef-client", NUDGE_AFTER, 3, 2)
    assert (on.command, on.nudge_after) == (None, timedelta(seconds=1))


def test_separate_tasks_have_no_moment_before_the_nudge(dag):
    """The scheduler's own time passes between the tasks."""
    with pytest.raises(InvalidInput, match="nudge_after has no meaning with separate=True"):
        separate("demo", "web", "off", nudge_after=timedelta(seconds=1))
    with pytest.raises(InvalidInput, match="separate must be True or False, not 'yes'"):
        transition("demo", "web", "off", separate="yes")


def test_tasks_in_order(dag):
    """Declare, then nudge, then wait, in a group named after tier and state."""
    group = separate("demo", "web", "off")
    assert isinstance(group, TaskGroup)
    assert group.group_id == "web_off"
    assert set(group.children) == {"web_off.set", "web_off.nudge", "web_off.wait"}
    declare, nudge, wait = (dag.get_task(f"web_off.{name}") for name in ("set", "nudge", "wait"))
    assert [type(task) for task in (declare, nudge, wait)] == [
        SetDesiredStateOperator,
        ConsulExecChefOperator,
        ConvergedSensor,
    ]
    assert declare.upstream_task_ids == set()
    assert nudge.upstream_task_ids == {declare.task_id}
    assert wait.upstream_task_ids == {declare.task_id, nudge.task_id}


def test_no_command_no_nudge(dag):
    """Nodes that watch the key need none."""
    group = separate("demo", "web", "off", command=None)
    assert set(group.children) == {"web_off.set", "web_off.wait"}
    assert dag.get_task("web_off.wait").upstream_task_ids == {"web_off.set"}


def test_names_of_groups(dag):
    """Several tiers are all in the name; an explicit name is kept."""
    assert separate("demo", ["web", "app"], "off").group_id == "web_app_off"
    assert separate("demo", "web", "off", task_id="halt").group_id == "halt"
    with TaskGroup("outer"):
        assert separate("demo", "web", "off").group_id == "outer.web_off"


@pytest.mark.parametrize("command", ["chef-client", None])
def test_wait_is_for_what_was_set(dag, command):
    """Never for the newest generation when the wait begins."""
    group = separate("demo", "web", "off", command=command)
    declare, wait = group.children["web_off.set"], group.children["web_off.wait"]
    assert wait.generation.operator is declare
    assert wait.generation.key == "return_value"


def test_parameters_reach_the_tasks(dag):
    """Each task gets its own; shared ones are the same in all."""
    policy = ConvergencePolicy(min_converged="80%")
    group = separate(
        "demo",
        "web",
        "off",
        {"release": "2.6.0"},
        allowed_from=["converged", None],
        policy=policy,
        members=["web-1"],
        command="chef-client --once",
        max_parallel=2,
        consul_conn_id="other",
        deferrable=True,
        tooltip="Off with it",
    )
    declare, nudge, wait = (group.children[f"web_off.{name}"] for name in ("set", "nudge", "wait"))
    assert (declare.state, declare.values, declare.allowed_from) == ("off", {"release": "2.6.0"}, ["converged", None])
    assert (nudge.command, nudge.max_parallel) == ("chef-client --once", 2)
    assert wait.policy is policy
    assert group.tooltip == "Off with it"
    for task in (declare, nudge, wait):
        assert (task.environment, task.tier, task.members) == ("demo", "web", ["web-1"])
        assert (task.consul_conn_id, task.deferrable) == ("other", True)


@pytest.mark.parametrize("policy", [None, ConvergencePolicy(timeout=timedelta(minutes=5))])
def test_nudge_takes_no_longer_than_the_wait_may(dag, policy):
    """A node that hangs in its nudge would delay the task that judges it."""
    group = separate("demo", "web", "off", policy=policy)
    assert group.children["web_off.nudge"].timeout <= group.children["web_off.wait"].policy.timeout


@pytest.mark.parametrize("command", ["chef-client", None])
@pytest.mark.parametrize("deferrable", [True, False])
def test_dag_is_serializable(dag, command, deferrable):
    """As the Dag processor stores it and the scheduler reads it: JSON, with the same tasks and edges."""
    transition("demo", "db", "off", command=command, policy=ConvergencePolicy(), deferrable=deferrable)
    group = separate(
        "demo", ["web", "app"], "off", {"release": "2.6.0"}, policy=ConvergencePolicy(), command=command,
        deferrable=deferrable,
    )  # fmt: skip
    stored = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(stored)
    again = DagSerialization.from_dict(json.loads(json.dumps(stored)))
    assert set(again.task_group.children[group.group_id].children) == set(group.children)
    for task in dag.tasks:
        assert again.get_task(task.task_id).downstream_task_ids == task.downstream_task_ids
