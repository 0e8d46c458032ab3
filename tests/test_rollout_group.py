"""The tasks that rollout() and transitions() add to a Dag; the tasks' own tests are with them and in tests/dags."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.operators.transitions import TransitionsOperator
from airflow_provider_chefconsul.task_groups import rollout, transition, transitions

MODEL = StateModel(
    ["off", "waiting", "converged"], [("converged", "off"), ("off", "waiting"), ("waiting", "converged")]
)


@pytest.fixture
def dag():
    """A Dag to put groups into; leaves no current Dag behind."""
    with DAG("rollout", schedule=None) as dag:
        yield dag


def edges(dag: DAG) -> dict[str, set[str]]:
    """By task, its upstream tasks."""
    return {task.task_id: task.upstream_task_ids for task in dag.tasks}


def test_wave_after_wave(dag):
    """Each begins once the one before has converged; the last one promotes, and the end depends on all."""
    group = rollout("demo", "web", "converged", {"release": "2.5.0"}, waves=[1, "10%", "100%"])
    assert group.group_id == "web_converged"
    found = edges(dag)
    assert found["web_converged.wave_1"] == set()
    assert found["web_converged.wave_2"] == {"web_converged.wave_1"}
    assert found["web_converged.wave_3"] == {"web_converged.wave_2"}
    assert found["web_converged.end"] == {"web_converged.wave_3"}
    assert [dag.get_task(f"web_converged.wave_{number}").canary for number in (1, 2, 3)] == [1, "10%", None]
    assert len(dag.tasks) == 3 + 1


def test_named_waves(dag):
    """Lists of nodes reach the operator as lists."""
    rollout("demo", "web", "off", waves=[["web-1"], ["web-1", "web-2"]])
    assert [dag.get_task(f"web_off.wave_{number}").canary for number in (1, 2)] == [["web-1"], ["web-1", "web-2"]]


def test_spread_is_for_waves_that_choose(dag):
    """It is passed to waves of a number of nodes; the last wave takes all."""
    rollout("demo", "web", "off", waves=[["web-1"], 3, "100%"], spread="meta:zone")
    spreads = [dag.get_task(f"web_off.wave_{number}").spread for number in (1, 2, 3)]
    assert spreads == [None, "meta:zone", None]
    with pytest.raises(InvalidInput, match='spread must be "meta:KEY"'):
        rollout("demo", "app", "off", spread="zone")


def test_rollback_follows_every_task_that_may_fail(dag):
    """One failure triggers it, it rolls back only this Dag run's writes, and the group ends after it."""
    rollout("demo", "web", "off", waves=[1, "100%"], approval=True, auto_revert=True)
    roll_back = dag.get_task("web_off.revert.roll_back")
    assert isinstance(roll_back, RollBackOperator)
    assert (roll_back.on_stale, roll_back.trigger_rule) == ("skip", TriggerRule.ONE_FAILED)
    assert roll_back.written_by == ["web_off.wave_1", "web_off.wave_2"]
    found = edges(dag)
    assert found["web_off.revert.roll_back"] == {
        "web_off.wave_1",
        "web_off.wave_2",
        "web_off.approve_2",
    }
    assert found["web_off.end"] == {"web_off.wave_2", "web_off.revert.wait"}
    wait = dag.get_task("web_off.revert.wait")
    assert wait.generation.operator is roll_back


def test_approval_before_each_wave_but_the_first(dag):
    """Airflow's own operator asks; its text is rendered when it asks, and a rejection fails."""
    rollout("demo", "web", "off", waves=[1, "10%", "100%"], approval={"body": "Look at the dashboard first."})
    found = edges(dag)
    assert found["web_off.approve_2"] == {"web_off.wave_1"}
    assert found["web_off.wave_2"] == {"web_off.approve_2"}
    assert found["web_off.wave_3"] == {"web_off.approve_3"}
    ask = dag.get_task("web_off.approve_3")
    assert isinstance(ask, ApprovalOperator)
    assert (ask.environment, ask.tier, ask.state, ask.canary) == ("demo", "web", "off", None)
    assert (ask.wave, ask.waves) == (3, 3)
    assert (ask.fail_on_reject, ask.body) == (True, "Look at the dashboard first.")
    assert "web_off.approve_1" not in found


def test_parameters_reach_every_wave(dag):
    """And the rollback, if they apply to it."""
    policy = ConvergencePolicy(max_failed=1, timeout=timedelta(minutes=5))
    rollout(
        "demo", "web", "off", waves=[1, "100%"], policy=policy, members=["web-1", "web-2"], command="true",
        max_parallel=3, sequence="{{ ts }}", auto_revert=True, consul_conn_id="other", deferrable=True,
    )  # fmt: skip
    for task in dag.tasks:
        kind = task.task_id.rpartition(".")[2]
        if kind == "end":
            continue
        assert (task.environment, task.tier, task.members) == ("demo", "web", ["web-1", "web-2"])
        assert (task.consul_conn_id, task.deferrable) == ("other", True)
        if kind == "roll_back" or kind.startswith("wave_"):
            assert task.sequence == "{{ ts }}"
        if kind.startswith("wave_"):
            assert (task.policy, task.command, task.max_parallel) == (policy, "true", 3)
        if kind == "nudge":
            assert (task.command, task.max_parallel, task.timeout) == ("true", 3, policy.timeout)
        if kind == "wait":
            assert task.policy is policy


@pytest.mark.parametrize(
    ("waves", "words"),
    [
        ([], "waves must be a list"),
        ("100%", "waves must be a list"),
        ([0], "canary must be a number of nodes from 1"),
        (["10%", "101%"], "canary must be a number of nodes from 1"),
        ([5, 3], r"waves only widen: 3 comes after 5 in \[5, 3\]"),
        (["50%", 1, "10%"], "waves only widen: 10% comes after 50%"),
        (["100%", 2], "waves only widen: 2 comes after 100%"),
        ([["web-1", "web-2"], ["web-2"]], "waves only widen: web-2 comes after web-1, web-2"),
    ],
)
def test_waves_that_do_not_widen(dag, waves, words):
    """A parse-time error that names them."""
    with pytest.raises(InvalidInput, match=words):
        rollout("demo", "web", "off", waves=waves)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"approval": "yes"}, "approval must be True, False or parameters of an ApprovalOperator, not 'yes'"),
        ({"auto_revert": 1}, "auto_revert must be True or False, not 1"),
        ({"force": "no"}, "force must be True or False, not 'no'"),
    ],
)
def test_switches_are_no_text(dag, parameters, words):
    """Python treats "no" as true."""
    with pytest.raises(InvalidInput, match=words):
        rollout("demo", "web", "off", **parameters)


@pytest.mark.parametrize("step", ["web", ("web",), ("web", "off", "on"), ("web", None), (None, "off")])
def test_transition_is_a_pair(dag, step):
    """The error names anything else."""
    with pytest.raises(InvalidInput, match="a step must be a pair of a tier"):
        transitions("demo", [step])


def test_transitions_are_chained(dag):
    """Each waits for the one before; a tier that reaches a state twice gets a number."""
    tasks = transitions("demo", [("web", "off"), (["app", "db"], "off"), ("web", "off")], {"release": "2.5.0"})
    assert [task.task_id for task in tasks] == ["web_off", "app_db_off", "web_off_2"]
    found = edges(dag)
    assert found["app_db_off"] == {"web_off"}
    assert found["web_off_2"] == {"app_db_off"}
    assert dag.get_task("web_off_2").values == {"release": "2.5.0"}


def test_separate_transitions_are_chained(dag):
    """Groups of three tasks each."""
    transitions("demo", [("web", "off"), ("app", "off")], separate=True)
    assert edges(dag)["app_off.set"] == {"web_off.wait"}


def test_all_transitions_in_one_task(dag):
    """What is given reaches it, the model too."""
    pairs = [("web", "off"), (["web", "app"], "waiting")]
    policy = ConvergencePolicy(max_failed=1)
    [task] = transitions("demo", pairs, {"release": "2.5.0"}, model=MODEL, one_task=True, policy=policy, retries=3)
    assert isinstance(task, TransitionsOperator)
    assert (task.task_id, task.values, task.model, task.policy, task.retries) == (
        "transitions", {"release": "2.5.0"}, MODEL, policy, 3,
    )  # fmt: skip
    assert [str(each) for each in task.steps] == ["web → off", "web, app → waiting"]
    stored = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(stored)
    with pytest.raises(InvalidInput, match="one_task must be True or False, not 'yes'"):
        transitions("demo", pairs, one_task="yes")
    with pytest.raises(InvalidInput, match="tier web: transition off → converged is not in the state model"):
        transitions("demo", [("web", "off"), ("web", "converged")], model=MODEL, one_task=True)


def test_model_is_asked_when_the_dag_is_parsed(dag):
    """An error names a transition that the model does not allow after the same tier's last one."""
    transitions("demo", [("web", "off"), ("db", "converged"), ("web", "waiting"), ("web", "converged")], model=MODEL)
    words = "tier web: transition off → converged is not in the state model; off may be followed by waiting"
    with DAG("wrong", schedule=None), pytest.raises(InvalidInput, match=words):
        transitions("demo", [("web", "off"), ("db", "off"), ("web", "converged")], model=MODEL)
    with pytest.raises(InvalidInput, match="unknown state gone; expected one of: converged, off, waiting"):
        transitions("demo", [("web", "gone")], model=MODEL)


def test_model_is_asked_again_at_the_write(dag):
    """Through allowed_from: the states before, the state itself, and None."""
    task = transition("demo", "web", "waiting", model=MODEL)
    assert task.allowed_from == [None, "waiting", "off"]
    with pytest.raises(InvalidInput, match="transition converged → waiting is not in the state model"):
        transition("demo", "web", "waiting", task_id="other", model=MODEL, allowed_from=["converged"])


@pytest.mark.parametrize("approval", [False, True])
@pytest.mark.parametrize("auto_revert", [False, True])
def test_dag_is_serializable(dag, approval, auto_revert):
    """As the Dag processor stores it and the scheduler reads it: JSON, with the same tasks and edges."""
    rollout("demo", "web", "off", approval=approval, auto_revert=auto_revert, spread="meta:zone")
    stored = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(stored)
    again = DagSerialization.from_dict(json.loads(json.dumps(stored)))
    for task in dag.tasks:
        assert again.get_task(task.task_id).downstream_task_ids == task.downstream_task_ids
