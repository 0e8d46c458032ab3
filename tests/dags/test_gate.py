"""Gates between waves, which pass, fail and are skipped; and the example of docs/how-to/gates.md, run by Airflow."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import shlex
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.model.writer import COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.operators.steering import AbortOperator, PromoteOperator
from airflow_provider_chefconsul.task_groups import rollout
from tests.support.airflow_home import make_context, pull_xcom
from tests.support.factory import make_assignment, make_canary, make_desired
from tests.support.follower import following
from tests.support.waiting import wait_until

NODES = ["web-1", "web-2", "web-3"]
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "gates.md").read_text()
pytestmark = pytest.mark.usefixtures("consul_connection")


@pytest.fixture
def nodes(cluster, consul_root, consul_kv, members):
    """Three nodes that have release 2.5.0 and do what is desired."""
    members(*NODES)
    consul_kv["demo/web/desired"] = make_desired(1, sequence=1).to_json()
    consul_kv["demo/_history/web/000000000001"] = consul_kv["demo/web/desired"]
    with following(cluster.http_port, consul_root, [("demo", "web")], NODES):
        yield


def build(gate) -> DAG:
    """A rollout of release 2.6.0 in three waves."""
    with DAG("gated", schedule=None) as dag:
        rollout(
            "demo", "web", "converged", {"release": "2.6.0"}, waves=[1, 2, "100%"], auto_revert=True, command=None,
            policy=ConvergencePolicy(timeout=timedelta(minutes=2)), gate=gate,
        )  # fmt: skip
    return dag


@task
def pass_once(wave):
    """Pass before the second wave, and fail before the third."""
    if wave.number == 3:
        raise ValueError(f"{wave.tier} is not fit for {wave.size}")
    return wave.number


@task
def skip(wave):
    """Have nothing to say."""
    raise AirflowSkipException


@task.short_circuit(ignore_downstream_trigger_rules=False)
def stop(wave):
    """Go no further."""
    return False


def test_gate_that_fails_takes_the_way_of_a_failed_wave(run_dag, nodes, consul_kv, capsys):
    """The wave after it does not begin, and the nodes of those before go back; each wave has a gate of its own."""
    states = run_dag(build(pass_once))
    assert {task: state for task, state in states.items() if state != "success"} == {
        "run": "failed",
        "web_converged.gate_3.pass_once": "failed",
        "web_converged.wave_3": "upstream_failed",
        "web_converged.check_end": "skipped",
        "web_converged.end": "upstream_failed",
    }
    assert pull_xcom("gated", "web_converged.gate_2.pass_once") == 2
    desired = json.loads(consul_kv["demo/web/desired"])
    assert (desired["canary"], desired["stable"]["generation"]) == (None, 1)
    assert {json.loads(consul_kv[f"demo/web/nodes/{node}"])["generation"] for node in NODES} == {1}
    assert "web is not fit for 100%" in capsys.readouterr().out
    acts = {(each["act"], each["reason"]) for each in journal(consul_kv)}
    assert ("gate_failed", "web is not fit for 100%") in acts
    why = "the gate of wave 3 of 3 (100%) failed (web_converged.gate_3.pass_once): web is not fit for 100%"
    assert ("rolled_back", f"auto_revert: {why}") in acts


def journal(consul_kv):
    """The entries, oldest first."""
    return [json.loads(consul_kv[key]) for key in sorted(consul_kv) if "/_journal/" in key]


@pytest.mark.parametrize("gate", [skip, stop])
def test_gate_that_is_skipped_leaves_the_canary_out(run_dag, nodes, consul_kv, capsys, gate):
    """Nothing said that it is bad, so it is not rolled back; nor that it is good, so the Dag run is not green."""
    states = run_dag(build(gate))
    states.pop("web_converged.gate_2.stop", None)  # which has succeeded
    assert {task: state for task, state in states.items() if state != "skipped"} == {
        "run": "failed",
        "web_converged.wave_1": "success",
        "web_converged.check_end": "failed",
        "web_converged.end": "upstream_failed",
    }
    assert json.loads(consul_kv["demo/web/desired"])["canary"]["values"] == {"release": "2.6.0"}
    assert "its last wave was skipped, and the canary is still out: generation 2, " in capsys.readouterr().out


@pytest.mark.parametrize("act", [Promotion, Abort])
def test_gate_that_is_skipped_after_the_rollout_was_ended(run_dag, nodes, consul_connection, consul_kv, act):
    """Somebody has promoted or aborted meanwhile, so no canary is out, and nothing fails."""

    @task
    def steer_and_skip(wave):
        by_hand = Writer(COMMAND_LINE, "ada@ops", act.__name__)

        async def end():
            async with ConsulHook(consul_connection).open_view() as view:
                await steer(view, "demo", ["web"], act(by_hand, "seen enough"))

        asyncio.run(end())
        raise AirflowSkipException

    states = run_dag(build(steer_and_skip))
    ran = {"run", "web_converged.wave_1"}
    assert {task for task, state in states.items() if state == "success"} == ran
    assert {state for task, state in states.items() if task not in ran} == {"skipped"}
    assert json.loads(consul_kv["demo/web/desired"])["canary"] is None


def test_rollout_that_is_skipped_as_a_whole(run_dag, nodes, consul_kv):
    """A branch around it is no failure, also beside another's canary."""

    @task.branch
    def choose():
        return "other"

    consul_kv["demo/web/desired"] = make_desired(2, stable=make_assignment(1), canary=make_canary(2)).to_json()
    dag = build(skip)
    with dag:
        choose() >> [EmptyOperator(task_id="other"), dag.task_group_dict["web_converged"]]
    states = run_dag(dag)
    ran = {"run", "choose", "other"}
    assert {task for task, state in states.items() if state == "success"} == ran
    assert {state for task, state in states.items() if task not in ran} == {"skipped"}


@pytest.mark.parametrize("make_act", [AbortOperator, PromoteOperator])
def test_gate_ends_with_its_rollout(run_dag, nodes, consul_kv, prometheus_connection, metric, make_act):
    """It fails at once, without its retries, or passes like the waves that are left."""
    prometheus_connection.set(metric, 1)

    def measure(wave):
        given = {"query": metric, "condition": "== 1", "initial_delay": timedelta(minutes=2)}
        return MetricGateOperator(task_id="metrics", environment=wave.environment, retries=1, deferrable=True, **given)

    def end():
        wait_until(lambda: [text for text in consul_kv.values() if '"act": "converged"' in text], what="a wave's end")
        act = make_act(task_id="act", environment="demo", tier="web", reason="seen enough")
        act.execute(make_context(dag_id="operate", task_id="act"))

    dag = build(measure)
    ending = threading.Thread(target=end)
    ending.start()
    states = run_dag(dag)
    ending.join()
    ended = {task: states[f"web_converged.{task}"] for task in ("gate_2.metrics", "wave_2", "gate_3.metrics", "end")}
    if make_act is PromoteOperator:
        assert set(ended.values()) == {"success"}
        assert pull_xcom("gated", "web_converged.gate_2.metrics") == []
    else:
        assert ended == dict.fromkeys(ended, "upstream_failed") | {"gate_2.metrics": "failed"}


def run_example(number: int) -> dict[str, DAG]:
    """What an example of the page defines."""
    block = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    names: dict[str, DAG] = {}
    exec(compile(block, "docs/how-to/gates.md", "exec"), names)
    return names


def test_function_with_the_wave_as_parameter_is_a_gate(run_dag, nodes, consul_kv):
    """As the page shows it."""
    states = run_dag(run_example(1)["dag"])
    assert {state for task, state in states.items() if not task.endswith(".check_end")} == {"success"}
    assert pull_xcom("checked", "web_converged.gate_2.check_wave") == "web answers before wave 2 of 2"


def test_example_of_the_page(run_dag, nodes, consul_kv, prometheus_connection):
    """What it shows works, but that it takes minutes."""
    names = run_example(0)
    (gate,) = [each for each in names["dag"].tasks if isinstance(each, MetricGateOperator)]
    gate.analysis = replace(gate.analysis, initial_delay=timedelta(0), interval=timedelta(seconds=0.1))
    prometheus_connection.count('errors_total{tier="web"}', 0.001)
    prometheus_connection.count('requests_total{tier="web"}', 100)
    states = run_dag(names["dag"])
    assert {state for task, state in states.items() if not task.endswith(".check_end") and ".revert." not in task} == {
        "success"
    }
    assert pull_xcom("gated", "web_converged.gate_2.checks.smoke_test") == "web answers before wave 2"
    assert len(pull_xcom("gated", "web_converged.gate_2.checks.error_rate")) == 5
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["values"] == {"release": "2.6.0"}


def test_parameters_of_the_page():
    """Its table has all of the operator's own parameters; that of Consul's connection is known from the others."""
    table = PAGE.partition("## MetricGateOperator")[2].partition("\n\nThe gate fails")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    parameters = inspect.signature(MetricGateOperator.__init__).parameters
    assert set(listed) == set(parameters) - {"self", "kwargs", "consul_conn_id"}


def test_command_of_the_page_is_understood():
    """Airflow's own parser takes it."""
    from airflow.cli.cli_parser import get_parser

    (line,) = re.findall(r"^airflow (.*)$", PAGE, flags=re.MULTILINE)
    assert get_parser().parse_args(shlex.split(line)).conn_id == "prometheus_default"
