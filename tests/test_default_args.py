"""What task groups leave to ``default_args``, and what they refuse because it must be known at parse time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG, Param, TaskGroup, task, task_group

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from airflow_provider_chefconsul.task_groups import rollout, transition, transitions

POLICY = ConvergencePolicy(max_failed=1, timeout=timedelta(minutes=3))
WINDOW = ChangeWindow("Mon-Thu 09:00-16:00", timezone="Europe/Berlin")
DEFAULTS = {
    "consul_conn_id": "consul_staging",
    "deferrable": True,
    "members": "meta:role=web",
    "values": {"release": "2.5.0"},
    "sequence": 7,
    "on_stale": "skip",
    "window": WINDOW,
    "allowed_from": ["off"],
    "slots": 3,
    "per": "meta:rack",
    "spread_over": timedelta(minutes=5),
    "force": True,
    "policy": POLICY,
    "command": "sudo chef-client",
    "max_parallel": 2,
    "prefix_per_node": "rexec-node",
}
MODEL = StateModel(["off", "on"], [("off", "on"), ("on", "off")])


def one(**options):
    """A single transition."""
    return [transition("demo", "web", "off", **options)]


def apart(**options):
    """A single transition, in three tasks."""
    return [transition("demo", "web", "off", separate=True, **options)]


def at_once(**options):
    """Two transitions in one task."""
    return transitions("demo", [("web", "off"), ("web", "on")], one_task=True, **options)


def several(**options):
    """Two chained transitions."""
    return transitions("demo", [("web", "off"), ("web", "on")], **options)


def in_waves(**options):
    """A rollout with all its parameters."""
    return [rollout("demo", "web", "off", approval=True, auto_revert=True, **options)]


def parameters_of(a_task):
    """The parameters in ``DEFAULTS`` that the task has."""
    return {name: getattr(a_task, name) for name in DEFAULTS if hasattr(a_task, name)}


@pytest.mark.parametrize("build", [one, apart, at_once, several, in_waves])
def test_default_args_of_the_dag_hold(build):
    """For every parameter of every task, unless the group itself gives it a meaning."""
    with DAG("defaults", schedule=None, default_args=DEFAULTS) as dag:
        build()
    for each in dag.tasks:
        found = parameters_of(each)
        expected = {name: value for name, value in DEFAULTS.items() if name in found}
        if isinstance(each, SetDesiredStateOperator) and "wave_1" not in each.task_id and build is in_waves:
            expected["force"] = False
        if isinstance(each, RollBackOperator):
            expected["on_stale"] = "skip"
        assert found == expected, each.task_id
        if isinstance(each, ConsulExecChefOperator):
            assert each.timeout == POLICY.timeout


@pytest.mark.parametrize("build", [one, apart, at_once, several, in_waves])
def test_default_args_of_a_group_hold(build):
    """Those of an enclosing group, and those given to the group itself; the nearest wins."""
    with (
        DAG("outer", schedule=None, default_args={"consul_conn_id": "consul_production"}) as dag,
        TaskGroup("around", default_args={"consul_conn_id": "consul_staging"}),
    ):
        build()
    with DAG("own", schedule=None, default_args={"consul_conn_id": "consul_production"}) as own:
        build(default_args={"consul_conn_id": "consul_staging"})
    for each in (*dag.tasks, *own.tasks):
        assert getattr(each, "consul_conn_id", "consul_staging") == "consul_staging", each.task_id


@pytest.mark.parametrize("build", [one, apart, at_once, several, in_waves])
def test_explicit_arguments_win(build):
    """Over ``default_args``, even if they equal the operators' own defaults."""
    given = {"consul_conn_id": "consul_default", "deferrable": False, "members": "service", "policy": None}
    given |= {"window": None}
    with DAG("given", schedule=None, default_args=DEFAULTS) as dag:
        build(**given, command=None)
    assert dag.tasks
    assert not [each for each in dag.tasks if isinstance(each, ConsulExecChefOperator)]
    for each in dag.tasks:
        found = parameters_of(each)
        for name in ("consul_conn_id", "deferrable", "members", "window"):
            assert found.get(name, given[name]) == given[name], each.task_id
        if isinstance(each, ConvergedSensor):
            assert each.policy == ConvergencePolicy()


def test_no_command_by_default_args():
    """Nodes that watch their key need no nudge, in any group of the Dag."""
    with DAG("watched", schedule=None, default_args={"command": None}) as dag:
        in_waves()
        apart(task_id="other")
        one(task_id="another")
    assert not [each for each in dag.tasks if isinstance(each, ConsulExecChefOperator)]
    assert dag.get_task("another").command is None


def test_tier_and_state_of_a_mapping_or_an_xcom():
    """They are passed to the tasks, which resolve them; the group needs a name."""
    with DAG("mapped", schedule=None, params={"tier": Param("web", type="string")}) as dag:

        @task
        def choose():
            return "web"

        chosen = choose()

        @task_group
        def upgrade(tier, state):
            transition("demo", tier, state, task_id="step")
            rollout("demo", tier, state, group_id="roll", approval=True, auto_revert=True)
            with pytest.raises(InvalidInput, match="tier comes from a mapping or an XCom.*: give task_id"):
                transition("demo", tier, "off")
            with pytest.raises(InvalidInput, match="state comes from a mapping or an XCom.*: give group_id"):
                rollout("demo", "web", state)

        upgrade.expand(tier=["web", "app"], state=["off"])
        transition("demo", [chosen, "app"], "off", task_id="of_xcom")
        transition(chosen, dag.param("tier"), "off", task_id="of_param")
    assert dag.get_task("of_xcom").tier == [chosen, "app"]


@pytest.mark.parametrize(
    ("build", "name"),
    [
        *(
            (one, name)
            for name in ("policy", "max_parallel", "prefix_per_node", "force", "deferrable", "on_stale", "window")
        ),
        *((one, name) for name in ("spread", "task_id", "nudge_after", "per", "spread_over")),
        *((apart, name) for name in ("policy", "task_id")),
        *((in_waves, name) for name in ("waves", "spread", "force", "policy", "deferrable", "group_id")),
    ],
)
def test_parse_time_parameters_must_not_be_references(build, name):
    """The error names the parameter and the reason."""
    with DAG("unknown", schedule=None):

        @task
        def choose():
            return 1

        with pytest.raises(InvalidInput, match=f"^{name} is needed when the Dag is parsed, so it cannot come from"):
            build(**{name: choose()})


def test_transitions_and_models_must_be_known_at_parse_time():
    """A mapping or an XCom cannot add a transition to a chain that is built now."""
    with DAG("unknown_steps", schedule=None):

        @task
        def choose():
            return "web"

        chosen = choose()
        for steps in (chosen, [(chosen, "off")]):
            with pytest.raises(InvalidInput, match="^steps is needed when the Dag is parsed"):
                transitions("demo", steps)
        with pytest.raises(InvalidInput, match="^state is needed when the Dag is parsed"):
            transition("demo", "web", chosen, task_id="step", model=MODEL)


NEVER = [
    ({"environment": "de mo"}, "environment 'de mo' is not a name"),
    ({"tier": "we/b"}, "tier 'we/b' is not a name"),
    ({"tier": ["web", "we/b"]}, "tier 'we/b' is not a name"),
    ({"tier": []}, "tier is an empty list"),
    ({"tier": {"web": 1}}, "tier must be a name or a list"),
    ({"members": ["web 1"]}, "node 'web 1' is not a name"),
    ({"members": "servise:web"}, "invalid members 'servise:web'"),
    ({"members": []}, "members is an empty list"),
]
NEVER_WRITTEN = [
    *NEVER,
    ({"state": "o n"}, "state 'o n' is not a name"),
    ({"values": {"release": {"major": 2}}}, r"values\['release'\] must be a string, number"),
    ({"values": {"release": "{{ params.release }}", "hosts": ["a"]}}, r"values\['hosts'\] must be a string, number"),
    ({"values": {"": "{{ params.release }}"}}, "'' is not a name for a value"),
    ({"values": "release=2"}, "values must be a mapping"),
    ({"canary": "ten"}, "canary must be a number of nodes from 1"),
    ({"canary": ["web 1"]}, "node 'web 1' is not a name"),
    ({"allowed_from": ["{{ params.before }}", "off/"]}, "allowed_from 'off/' is not a name"),
    ({"slots": 0}, "slots must be a number of nodes from 1"),
    ({"slots": "5%", "per": "meta:rack"}, "with per, slots must be a number of nodes"),
    ({"spread_over": 5}, "spread_over must be a timedelta"),
    ({"allowed_from": "off"}, "allowed_from must be a list of states"),
    ({"sequence": "yesterday"}, "sequence must be seconds since the epoch"),
]


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        *((SetDesiredStateOperator, *each) for each in NEVER_WRITTEN),
        *((kind, *each) for kind in (RollBackOperator, ConsulExecChefOperator, ConvergedSensor) for each in NEVER),
        *((kind, {"generation": 0}, "generation must be") for kind in (ConsulExecChefOperator, ConvergedSensor)),
        (RollBackOperator, {"to": "last"}, 'to must be "last_good", "previous" or a generation'),
    ],
)
def test_impossible_literals_are_import_errors(kind, wrong, words):
    """Nobody has to run the Dag to learn of them."""
    given = {"environment": "demo", "tier": "web"} | ({"state": "off"} if kind is SetDesiredStateOperator else {})
    with DAG("never", schedule=None), pytest.raises(InvalidInput, match=words):
        kind(task_id="wrong", **given | wrong)


def test_templates_are_left_to_the_task():
    """In every templated parameter."""
    text = "{{ params.anything }}"
    with DAG("templated", schedule=None):
        target = {"environment": text, "tier": [text, "web"], "members": [text], "consul_conn_id": text}
        SetDesiredStateOperator(
            task_id="set", state=text, values={"release": text}, canary=text, spread="meta:zone", sequence=text,
            slots=text, per="meta:rack", allowed_from=[text, None], **target,
        )  # fmt: skip
        SetDesiredStateOperator(task_id="native", state="off", values=text, allowed_from=text, **target)
        RollBackOperator(task_id="back", to=text, generation=text, sequence=text, **target)
        ConsulExecChefOperator(task_id="nudge", generation=text, **target)
        ConvergedSensor(task_id="wait", generation={"web": text}, **target)
