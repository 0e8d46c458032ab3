"""
Phase 2 of the maturity model: upgrade an environment by declaring states.

The database must not be migrated under a running application, so the tiers go down from the front and come up from the
back. Each step is a state transition: the Dag declares the state, nodes converge on it, and the Dag waits for their
reports. A node that is down meanwhile, or is added, reads the same states and catches up by itself.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, TaskGroup, chain

from airflow_provider_chefconsul.rollout import ConvergencePolicy
from airflow_provider_chefconsul.task_groups import transition

RELEASE = {"release": "{{ params.release }}"}

with DAG(
    dag_id="phase2_declarative_rollout",
    description="web off → app off → db at the new release → app up → web up",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    max_active_runs=1,
    params={"release": Param("2.5.0", type="string", minLength=1, description="The release to bring to all tiers")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:

    def step(tier: str, state: str) -> TaskGroup:
        """One transition of one tier; the wait moves to the triggerer when it takes longer than a moment."""
        policy = ConvergencePolicy(timeout=timedelta(minutes=10))
        return transition("demo", tier, state, RELEASE, policy=policy, deferrable=True)

    chain(
        step("web", "off"),
        step("app", "off"),
        step("db", "converged"),
        step("app", "waiting"),
        step("app", "converged"),
        step("web", "waiting"),
        step("web", "converged"),
    )
