"""
A release goes to one web node, then to half of them, then to all; before it goes on, Prometheus is asked how it does.

The share of requests that the new release fails is measured five times, a minute apart, beginning two minutes after its
nodes have converged. When more than one measurement fails, or more than one yields no number, the rollout fails and the
nodes go back to the release that they had. What a person would look at on a dashboard at night is in the task's log: a
line for each measurement.

It needs a connection `prometheus_default` of type `http`, and metrics that say which release they come from: the
application's own, or a label that Prometheus adds. `or vector(0)` is for a release that has not failed a request yet:
there is no series of its failures then. The web tier needs an initial desired state, which the nodes outside a wave
keep: declare one, or run phase 2 first.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_chefconsul import ConvergencePolicy, MetricGateOperator, NextWave, rollout

ERROR_RATE = """
(sum(rate(http_requests_total{tier="web", release="{{ params.release }}", code=~"5.."}[2m])) or vector(0))
/ sum(rate(http_requests_total{tier="web", release="{{ params.release }}"}[2m]))
"""


def ask_metrics(wave: NextWave) -> MetricGateOperator:
    """Measure how the nodes do that have the release."""
    return MetricGateOperator(
        task_id="error_rate",
        environment=wave.environment,
        query=ERROR_RATE,
        condition="< 0.01",
        initial_delay=timedelta(minutes=2),
        interval=timedelta(minutes=1),
        count=5,
        failure_limit=1,
        inconclusive_limit=1,
        deferrable=True,
    )


with DAG(
    dag_id="canary_with_metrics",
    description="web at the new release, in waves; the next one begins when Prometheus says that the release is good",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    max_active_runs=1,
    params={"release": Param("2.6.0", type="string", minLength=1, description="The release to bring to the web tier")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:
    rollout(
        "demo",
        "web",
        "converged",
        {"release": "{{ params.release }}"},
        waves=[1, "50%", "100%"],
        gate=ask_metrics,
        policy=ConvergencePolicy(timeout=timedelta(minutes=10)),
        auto_revert=True,
        deferrable=True,
    )
