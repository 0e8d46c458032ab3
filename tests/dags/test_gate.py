"""Gates between waves, which pass, fail and are skipped; and the example of docs/how-to/gates.md, run by Airflow."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.task_groups import rollout
from tests.support.airflow_home import pull_xcom
from tests.support.factory import make_desired
from tests.support.follower import following

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


def test_gate_that_fails_takes_the_way_of_a_failed_wave(run_dag, nodes, consul_kv, capsys):
    """The wave after it does not begin, and the nodes of those before go back; each wave has a gate of its own."""
    states = run_dag(build(pass_once))
    assert {task: state for task, state in states.items() if state != "success"} == {
        "run": "failed",
        "web_converged.gate_3.pass_once": "failed",
        "web_converged.wave_3": "upstream_failed",
        "web_converged.end": "upstream_failed",
    }
    assert pull_xcom("gated", "web_converged.gate_2.pass_once") == 2
    desired = json.loads(consul_kv["demo/web/desired"])
    assert (desired["canary"], desired["stable"]["generation"]) == (None, 1)
    assert {json.loads(consul_kv[f"demo/web/nodes/{node}"])["generation"] for node in NODES} == {1}
    assert "web is not fit for 100%" in capsys.readouterr().out


def test_gate_that_is_skipped_ends_the_rollout(run_dag, nodes, consul_kv):
    """The canary stays where it is: nothing failed, and nothing said that it is good."""
    states = run_dag(build(skip))
    ran = {"run", "web_converged.wave_1"}
    assert {task for task, state in states.items() if state == "success"} == ran
    assert {state for task, state in states.items() if task not in ran} == {"skipped"}
    assert json.loads(consul_kv["demo/web/desired"])["canary"]["values"] == {"release": "2.6.0"}


def test_example_of_the_page(run_dag, nodes, consul_kv, prometheus_connection):
    """What it shows works, but that it takes minutes."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, DAG] = {}
    exec(compile(block, "docs/how-to/gates.md", "exec"), names)
    (gate,) = [each for each in names["dag"].tasks if isinstance(each, MetricGateOperator)]
    gate.analysis = replace(gate.analysis, initial_delay=timedelta(0), interval=timedelta(seconds=0.1))
    prometheus_connection.count('errors_total{tier="web"}', 0.001)
    prometheus_connection.count('requests_total{tier="web"}', 100)
    states = run_dag(names["dag"])
    assert {state for task, state in states.items() if ".revert." not in task} == {"success"}
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
