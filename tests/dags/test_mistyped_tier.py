"""A tier whose name was mistyped, in the task groups."""

from __future__ import annotations

from functools import partial

import pytest
from airflow.sdk import DAG

from airflow_provider_chefconsul.task_groups import rollout, transition


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize("build", [transition, partial(transition, separate=True), rollout])
def test_mistyped_tier_leaves_no_key(run_dag, consul_kv, members, build):
    """The first task fails, before anything is written that somebody would have to remove by hand."""
    members("web-1")
    with DAG("mistyped", schedule=None) as dag:
        build("demo", "wbe", "off")
    [first] = dag.roots
    assert run_dag(dag)[first.task_id] == "failed"
    assert dict(consul_kv) == {}
