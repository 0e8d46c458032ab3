"""
Every night, look for nodes that no longer match what they were assigned, in all environments.

The task fails if there is one, and its log names each with what to do: a run that failed, an agent that is not alive,
an old generation, a report that cannot be read, a node that reports although it is no longer a member. It retries for
half an hour, so that a rollout in progress wakes nobody. It changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_chefconsul import DriftAuditOperator

with DAG(
    dag_id="nightly_drift_audit",
    description="nodes that no longer match what they were assigned",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="0 3 * * *",
    catchup=False,
    max_active_runs=1,
    tags=["chefconsul", "example"],
) as dag:
    DriftAuditOperator(task_id="audit", max_drifted=0, retries=3, retry_delay=timedelta(minutes=10))
