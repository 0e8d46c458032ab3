"""A tier whose name was mistyped, in the task groups."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_provider_chefconsul.task_groups import rollout, transition


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize("build", [transition, rollout])
def test_mistyped_tier_leaves_no_key(run_dag, consul_kv, members, build):
    """The first task fails, before anything is written that somebody would have to remove by hand."""
    members("web-1")
    with DAG("mistyped", schedule=None) as dag:
        group = build("demo", "wbe", "off")
    states = run_dag(dag)
    [first] = group.get_roots() if build is transition else group.children["wbe_off.wave_1"].get_roots()
    assert states[first.task_id] == "failed"
    assert dict(consul_kv) == {}
