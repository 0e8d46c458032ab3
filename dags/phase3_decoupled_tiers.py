"""
Phase 3 of the maturity model: decoupled tiers, each upgraded by itself, a little at a time until all is upgraded.

It should not matter that the web tier is on a particular version and the database has not caught up yet: the web tier
tolerates that. So no tier is turned off so that another one can do its thing, and no tier waits for another. Each goes
through in waves, and the next wave begins when the nodes of the one before have converged and their health checks have
passed for a while. A tier whose wave fails goes back to what it had; the others go on. Whether an application can be
upgraded so is up to its own design.

A tier needs a desired state to begin with, which the nodes outside of a wave keep: declare one, or run phase 2 first.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_chefconsul import ConvergencePolicy, rollout

POLICY = ConvergencePolicy(min_healthy_time=timedelta(seconds=10), timeout=timedelta(minutes=10))

with DAG(
    dag_id="phase3_decoupled_tiers",
    description="web, app and db at the new release, each in waves, none waits for another",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    max_active_runs=1,
    params={"release": Param("2.6.0", type="string", minLength=1, description="The release to bring to all tiers")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:
    for tier in ("web", "app", "db"):
        rollout(
            "demo",
            tier,
            "converged",
            {"release": "{{ params.release }}"},
            waves=[1, "50%", "100%"],
            policy=POLICY,
            auto_revert=True,
            deferrable=True,
        )
