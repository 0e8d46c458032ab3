"""
Phase 2 of the maturity model: upgrade an environment by declaring states.

The database must not be migrated under a running application, so the tiers go down from the front and come up from the
back. Each step is a state transition: the Dag declares the state, nodes converge on it, and the Dag waits for their
reports. A node that is down or added meanwhile reads the same states and catches up by itself.

Each step is built here of its three parts, which other Dags may put together in another way: `set` declares the state,
`nudge` runs chef-client on the nodes, `wait` waits for their reports. Without `separate=True`, a step is one task.

Absent does not mean stopped: a node that Consul has lost sight of may still serve. The application uses the database,
so the step that turns it off does not assume that an absent node has stopped (`max_absent=0`): it waits for the node
until its timeout, and the database is not touched. Bring the node back, or remove it for good, and clear the step. Web
nodes do not use the database, so an absent one is excused.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, BaseOperator, Param, TaskGroup, chain

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

    def step(tier: str, state: str, *, max_absent: int | None = None) -> BaseOperator | TaskGroup:
        """One transition of one tier; a longer wait moves to the triggerer."""
        policy = ConvergencePolicy(max_absent=max_absent, timeout=timedelta(minutes=10))
        return transition("demo", tier, state, RELEASE, policy=policy, separate=True, deferrable=True)

    chain(
        step("web", "off"),
        step("app", "off", max_absent=0),  # the next step must not run while the application is running
        step("db", "converged"),
        step("app", "waiting"),
        step("app", "converged"),
        step("web", "waiting"),
        step("web", "converged"),
    )
