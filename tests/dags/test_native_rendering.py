"""Dags with render_template_as_native_obj=True: what becomes of values that are text."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, Param

from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator

pytestmark = pytest.mark.usefixtures("consul_connection")


def declare(run_dag, values, params) -> str:
    """Run a Dag that declares the values, and return how it ended."""
    with DAG("native", schedule=None, render_template_as_native_obj=True, params=params) as dag:
        SetDesiredStateOperator(
            task_id="set", environment="demo", tier="web", state="converged", allow_empty=True,
            values=values(dag) if callable(values) else values,
        )  # fmt: skip
    return run_dag(dag)["set"]


def test_release_that_looks_like_a_number_is_refused(run_dag, consul_kv, capsys):
    """Release 2.10 would be written as 2.1, which is another one; the error says how to keep the text."""
    assert declare(run_dag, {"release": "{{ params.release }}"}, {"release": "2.10"}) == "failed"
    assert dict(consul_kv) == {}
    printed = capsys.readouterr().out
    assert "values['release']: template '{{ params.release }}' became the number 2.1" in printed
    assert "quote the template once more, \"'{{ params.release }}'\"" in printed


@pytest.mark.parametrize(
    ("values", "params", "written"),
    [
        ({"release": "'{{ params.release }}'"}, {"release": "2.10"}, {"release": "2.10"}),
        ({"release": "{{ params.release }}"}, {"release": "2.10.1"}, {"release": "2.10.1"}),
        ({"replicas": "{{ params.replicas }}"}, {"replicas": 3}, {"replicas": 3}),
        ({"ratio": 0.5, "release": "2.10"}, {}, {"ratio": 0.5, "release": "2.10"}),
        (
            lambda dag: {"ratio": dag.param("ratio"), "release": dag.param("release")},
            {"ratio": 0.5, "release": "2.10"},
            {"ratio": 0.5, "release": "2.10"},
        ),
        ("{{ params.wanted }}", {"wanted": Param({"release": "2.10"}, type="object")}, {"release": "2.10"}),
    ],
)
def test_what_keeps_its_type(run_dag, consul_kv, values, params, written):
    """Quoted text, text that is no number, numbers that are meant, and whatever is no template."""
    assert declare(run_dag, values, params) == "success"
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["values"] == written


def test_another_type_is_said_in_the_log(run_dag, consul_kv, capsys):
    """It may be what native rendering was wanted for, or not."""
    assert declare(run_dag, {"release": "{{ params.release }}"}, {"release": "2024"}) == "success"
    assert "values['release'] is written as int, not as text: '{{ params.release }}' became 2024" in (
        capsys.readouterr().out
    )
