"""What a gate adds to a rollout's group; what it does when it runs is tested in tests/dags."""

from __future__ import annotations

from functools import partial

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task, task_group
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.task_groups import rollout
from airflow_provider_chefconsul.task_groups.gate import NextWave
from tests.support.airflow_home import connect, make_context
from tests.support.factory import make_writer


@pytest.fixture
def dag():
    """A Dag to put a rollout into."""
    with DAG("gated", schedule=None) as dag:
        yield dag


def build(gate, **overrides):
    """A rollout in three waves."""
    return rollout("demo", "web", "off", waves=[1, ["web-1", "web-2"], "100%"], gate=gate, **overrides)


def upstream(dag: DAG, task_id: str) -> set[str]:
    """The tasks before a task, without the name of the group."""
    return {each.removeprefix("web_off.") for each in dag.get_task(f"web_off.{task_id}").upstream_task_ids}


def look(wave):
    """A single task."""
    return EmptyOperator(task_id="look")


def look_twice(wave):
    """A group of two tasks, one after the other, and a third beside them."""
    with TaskGroup("looks") as group:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
        EmptyOperator(task_id="beside")
    return group


@task
def ask(wave):
    """A TaskFlow function."""


@task
def probe(node):
    """One that is mapped."""


def test_gate_is_given_the_next_wave(dag):
    """As it was written; the first wave has none."""
    seen = []
    build(lambda wave: seen.append(wave) or look(wave))
    assert seen == [
        NextWave("demo", "web", "off", 2, 3, ["web-1", "web-2"]), NextWave("demo", "web", "off", 3, 3, "100%"),
    ]  # fmt: skip
    assert not [each for each in dag.task_ids if "gate_1" in each]


@pytest.mark.parametrize(
    ("gate", "first", "last"),
    [
        (look, {"look"}, {"look"}),
        (look_twice, {"looks.first", "looks.beside"}, {"looks.second", "looks.beside"}),
        (ask, {"ask"}, {"ask"}),
        (lambda wave: ask(wave.tier), {"ask"}, {"ask"}),
        (lambda wave: probe.expand(node=wave.size if wave.number == 2 else ["web-3"]), {"probe"}, {"probe"}),
        (partial(look), {"look"}, {"look"}),
    ],
    ids=["task", "group", "taskflow", "taskflow_call", "mapped", "partial"],
)
def test_gate_stands_between_waves(dag, gate, first, last):
    """Its first tasks follow the wave before, and the wave after follows all of its last ones."""
    build(gate)
    for number in (2, 3):
        for each in first:
            assert upstream(dag, f"gate_{number}.{each}") == {f"wave_{number - 1}"}
        assert upstream(dag, f"wave_{number}") == {f"gate_{number}.{each}" for each in last}
    assert upstream(dag, "end") == {"wave_3", "check_end"}
    assert upstream(dag, "check_end") == {"wave_3"}
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(again.task_ids) == set(dag.task_ids)


def test_whoever_approves_knows_what_the_gate_found(dag):
    """So it stands before the approval; each of the tasks that may fail begins the rollback."""
    build(look, approval=True, auto_revert=True)
    assert upstream(dag, "gate_2.look") == {"wave_1"}
    assert upstream(dag, "approve_2") == {"gate_2.look"}
    assert upstream(dag, "wave_2") == {"approve_2"}
    assert upstream(dag, "revert.roll_back") == {
        "wave_1", "gate_2.look", "approve_2", "wave_2", "gate_3.look", "approve_3", "wave_3",
    }  # fmt: skip
    assert dag.get_task("web_off.revert.roll_back").written_by == [f"web_off.wave_{number}" for number in (1, 2, 3)]


def test_failure_of_a_gate_is_told(dag, monkeypatch, consul_kv, consul_root, cluster):
    """To the journal, by whichever of its tasks failed, also a mapped one, beside what the author's callback does."""
    seen = []
    connect(monkeypatch, cluster.http_port, connection_id="consul_eu", prefix=consul_root)
    build(
        lambda wave: EmptyOperator(task_id="look", on_failure_callback=seen.append) if wave.number == 2 else mapped(),
        default_args={"consul_conn_id": "consul_eu"},
    )
    look = dag.get_task("web_off.gate_2.look")
    context = make_context(task_id=look.task_id) | {"task": look, "exception": ValueError("0.04 is not\n< 0.01")}
    for callback in look.on_failure_callback:
        callback(context)
    assert seen == [context]
    (text,) = [text for key, text in consul_kv.items() if "/_journal/" in key]
    entry = JournalEntry.from_json("k", text)
    assert (entry.act, entry.scope, entry.by) == (JournalAct.GATE_FAILED, ("web",), make_writer(task_id=look.task_id))
    assert entry.wave == JournalWave("web-1, web-2", 2, 3)
    assert entry.reason.startswith("0.04 is not")
    assert len(dag.get_task("web_off.gate_3.probe").on_failure_callback) == 1


def mapped():
    """A gate of several task instances."""
    return probe.expand(node=["web-3"])


def test_default_args_reach_the_gate(dag):
    """Those of the rollout's group, as they reach its other tasks."""
    gate = partial(MetricGateOperator, task_id="metrics", environment="demo", query="up", condition="== 1")
    build(lambda wave: gate(), default_args={"consul_conn_id": "consul_eu", "retries": 7})
    metrics = dag.get_task("web_off.gate_2.metrics")
    assert (metrics.consul_conn_id, metrics.retries) == ("consul_eu", 7)


def measure_in_a_group(wave):
    """A group with a gate that asks Prometheus, and another one that is mapped."""
    given = {"environment": "demo", "condition": "== 1"}
    with TaskGroup("checks") as group:
        MetricGateOperator(task_id="one", query="up", **given)
        MetricGateOperator.partial(task_id="some", **given).expand(query=["up", "down"])
    return group


def test_gate_knows_whose_rollout_it_belongs_to(dag):
    """So that it ends with it."""
    build(measure_in_a_group)
    one, some = (dag.get_task(f"web_off.gate_2.checks.{name}") for name in ("one", "some"))
    assert (one.rollout_tier, some.unmap({"query": "up"}).rollout_tier) == ("web", "web")


def test_tier_from_a_mapping_is_left_to_the_author(dag):
    """A group would copy the reference, and a copy belongs to no task of the Dag."""

    def gate(wave):
        given = {"environment": "demo", "query": "up", "condition": "== 1"}
        MetricGateOperator(task_id="unaware", **given)
        return MetricGateOperator(task_id="aware", rollout_tier=wave.tier, **given)

    @task
    def list_tiers():
        return ["web"]

    @task_group
    def upgrade(tier):
        rollout("demo", tier, "off", waves=[1, "100%"], gate=gate, group_id="rollout")

    upgrade.expand(tier=list_tiers())
    unaware, aware = (dag.get_task(f"upgrade.rollout.gate_2.{name}") for name in ("unaware", "aware"))
    assert unaware.rollout_tier is None
    assert "list_tiers" in aware.upstream_task_ids


def build_and_forget(wave):
    """A gate whose author forgot to return what it builds."""
    look(wave)


def build_nothing(wave):
    """A gate that returns an empty group."""
    with TaskGroup("nothing") as group:
        pass
    return group


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (build_and_forget, "gate build_and_forget must return the task, .* that it builds for wave 2, not None"),
        (build_nothing, "gate build_nothing must return"),
        (lambda wave: [look(wave)], r"gate .*<lambda> must return .*, not \[<Task"),
        (lambda wave: "metrics", "must return .* not 'metrics'"),
    ],
)
def test_gate_that_returns_no_task(dag, gate, words):
    """An error when the Dag is parsed, which names the gate and what it returned."""
    with pytest.raises(InvalidInput, match=words):
        build(gate)


def test_task_of_elsewhere_is_no_gate(dag):
    """It would be a task that no wave waits for, or that waits for none."""
    before = look(None)
    with pytest.raises(InvalidInput, match="that it builds for wave 2, not <Task.EmptyOperator.: look>"):
        build(lambda wave: before)


@pytest.mark.parametrize("gate", ["metrics", True, MetricGateOperator])
def test_gate_is_a_function(dag, gate):
    """A task that exists already cannot stand between several waves; it is an error even where there is one wave."""
    if gate is MetricGateOperator:
        gate = MetricGateOperator(task_id="metrics", environment="demo", query="up", condition="== 1")
    with pytest.raises(InvalidInput, match="gate must be a function that takes the next wave and builds tasks, not "):
        rollout("demo", "web", "off", waves=["100%"], gate=gate)
