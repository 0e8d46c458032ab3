"""
Operate an environment from Airflow's UI, without a shell: "Trigger Dag" asks for the action.

| action | what it does |
|---|---|
| freeze | from then on, Consul refuses every write that would move one of the tiers; tasks that would write wait |
| unfreeze | ends the freeze of the tiers |
| promote | gives all nodes of the tiers their canaries' assignments now |
| abort | rolls the tiers' canaries back, and lets no further wave of their rollouts begin |
| roll back | rolls the tiers back to their last good generation in the same state, and waits for their nodes |
| break lease | takes the environment from the Dag run that holds it; the tiers do not matter |
| audit | finds nodes that do not match what they were assigned, and changes nothing |

Without tiers, freeze, unfreeze and audit are about the whole environment; promote, abort and roll back need them named.
The journal has the reason, and the name of whoever triggered the Dag run. Whoever may trigger this Dag may do all this
to every environment that its connection reaches: give it to those alone, with Airflow's permissions for a Dag.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_chefconsul import (
    AbortOperator,
    BreakLeaseOperator,
    ConvergencePolicy,
    DriftAuditOperator,
    FreezeOperator,
    PromoteOperator,
    RollBackOperator,
    UnfreezeOperator,
)

ACTIONS = ["audit", "freeze", "unfreeze", "promote", "abort", "roll back", "break lease"]
REASON = "{{ params.reason }} (triggered by {{ dag_run.triggering_user_name or 'nobody whom Airflow knows' }})"

with DAG(
    dag_id="operate_environment",
    description="freeze, unfreeze, promote, abort, roll back, break the lease, or audit",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    params={
        "action": Param("audit", type="string", enum=ACTIONS, description="What to do"),
        "environment": Param("demo", type="string", minLength=1, description="The environment"),
        "tiers": Param(None, type=["null", "array"], items={"type": "string"}, description="Tiers, one a line"),
        "reason": Param("look around", type="string", minLength=1, description="Why, for the journal and for others"),
    },
    default_args={"retries": 0},  # a person looks at it
    tags=["chefconsul", "example"],
) as dag:

    @task.branch
    def choose(params: dict[str, Any] | None = None) -> str:
        """The task of the action."""
        assert params is not None
        return str(params["action"]).replace(" ", "_")

    target: dict[str, Any] = {"environment": "{{ params.environment }}", "tier": dag.param("tiers")}
    choose() >> [
        DriftAuditOperator(task_id="audit", **target),
        FreezeOperator(task_id="freeze", reason=REASON, **target),
        UnfreezeOperator(task_id="unfreeze", reason=REASON, **target),
        PromoteOperator(task_id="promote", reason=REASON, **target),
        AbortOperator(task_id="abort", reason=REASON, **target),
        RollBackOperator(
            task_id="roll_back",
            to="last_good",
            reason=REASON,
            wait=ConvergencePolicy(timeout=timedelta(minutes=30)),
            deferrable=True,
            **target,
        ),
        BreakLeaseOperator(task_id="break_lease", environment=target["environment"], reason=REASON),
    ]
