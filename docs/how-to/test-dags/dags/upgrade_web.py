"""Upgrade the web tier in waves, and stop at the first node that fails."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_chefconsul import ConvergencePolicy, rollout

with DAG("upgrade_web", schedule=None, params={"release": "2.5.0"}):
    rollout(
        "demo",
        "web",
        "converged",
        {"release": "{{ params.release }}"},
        waves=[1, "25%", "50%", "100%"],
        policy=ConvergencePolicy(timeout=timedelta(minutes=2)),
        command=None,
    )
