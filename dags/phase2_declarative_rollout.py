"""
Phase 2 of the maturity model: upgrade an environment by declaring states.

The database must not be migrated under a running application, so the tiers go down from the front and come up from the
back. Each step is a state transition: the Dag declares the state, nodes converge on it, and the Dag waits for their
reports. A node that is down meanwhile, or is added, reads the same states and catches up by itself.

Absent does not mean stopped: a node that Consul has lost sight of may still serve. The application uses the database,
so its step down does not take an absent node for stopped (`max_absent=0`): it waits for the node until its timeout, and
the database is not touched. Bring the node back, or remove it for good, and clear the step. Web nodes do not use the
database: one that is absent is excused.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, TaskGroup, chain

from airflow_provider_chefconsul import ConvergencePolicy, transition

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

    def step(tier: str, state: str, *, max_absent: int | None = None) -> TaskGroup:
        """One transition of one tier; the wait moves to the triggerer when it takes longer than a moment."""
        policy = ConvergencePolicy(max_absent=max_absent, timeout=timedelta(minutes=10))
        return transition("demo", tier, state, RELEASE, policy=policy, deferrable=True)

    chain(
        step("web", "off"),
        step("app", "off", max_absent=0),  # what comes next must not happen beside a running application
        step("db", "converged"),
        step("app", "waiting"),
        step("app", "converged"),
        step("web", "waiting"),
        step("web", "converged"),
    )
