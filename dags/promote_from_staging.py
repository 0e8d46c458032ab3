"""
Bring to production what has proved good in staging, in waves.

The first task reads the values of staging's tier. It refuses them while a canary is out there, and until all of the
tier has converged on them and an hour has passed; its retries wait for that. The rollout takes the values from the
task's XCom, so that every wave, every retry and every cleared task rolls out what was read once, whatever staging
does meanwhile.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_chefconsul import ConvergencePolicy, ReadConvergedValuesOperator, rollout

with DAG(
    dag_id="promote_from_staging",
    description="what is good in staging, to production in waves",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    max_active_runs=1,
    params={
        "staging": Param("staging", type="string", minLength=1, description="The environment to read"),
        "production": Param("production", type="string", minLength=1, description="The environment to change"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:
    read = ReadConvergedValuesOperator(
        task_id="read_staging",
        environment="{{ params.staging }}",
        tier="web",
        min_age=timedelta(hours=1),
        retries=12,
        retry_delay=timedelta(minutes=10),
    )
    rollout(
        "{{ params.production }}",
        "web",
        "converged",
        read.output,
        waves=[1, "100%"],
        policy=ConvergencePolicy(timeout=timedelta(minutes=10)),
        auto_revert=True,
        deferrable=True,
    )
