"""
Bring an environment to the release that is due, by a calendar of releases.

`releases.json` beside this file says from which day, at midnight UTC, which release is due. Each of these days has a
Dag run. An environment that lagged behind is brought through its upgrades, one at a time and in order, by a backfill:

    airflow backfill create --dag-id backfill_environment_upgrades
        --from-date 2026-10-01 --to-date 2026-11-01 --max-active-runs 1

Running it again with `--reprocess-behavior completed` changes nothing, and neither does an upgrade that comes too late:
with `--run-backwards` the newest release comes first, and each older one is skipped, naming what it lost to.

Tiers are upgraded while the others serve, so each release must get along with the one before it, its database too.
Where it does not, turn the application off first, with `max_absent=0`, as `phase2_declarative_rollout` does.

A run that has no logical date, such as a manual one, brings the newest release that is due by then.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.events import EventsTimetable  # that of airflow.sdk cannot be serialized in 3.3

from airflow_provider_chefconsul import AcquireLeaseOperator, ConvergencePolicy, ReleaseLeaseOperator, transition

CALENDAR: dict[pendulum.DateTime, str] = {
    pendulum.from_format(day, "YYYY-MM-DD", tz="UTC"): release
    for day, release in sorted(json.loads(Path(__file__).with_name("releases.json").read_text()).items())
}
RELEASE = "{{ ti.xcom_pull(task_ids='choose_release') }}"

with DAG(
    dag_id="backfill_environment_upgrades",
    description="the release that is due: db, then app, then web",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=EventsTimetable(CALENDAR, presorted=True, description="Days of releases"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:

    @task
    def choose_release(dag_run: Any = None) -> str:
        """The newest release that is due at the Dag run's logical time, which its writes belong to."""
        moment = dag_run.logical_date or getattr(dag_run, "partition_date", None) or dag_run.run_after
        due = [release for day, release in CALENDAR.items() if day <= moment]
        if not due:
            raise AirflowSkipException(f"No release is due by {moment}; the first one is on {min(CALENDAR)}")
        return due[-1]

    acquire = AcquireLeaseOperator(
        task_id="acquire", environment="demo", reason=f"upgrade to {RELEASE}", deferrable=True
    )
    steps = [
        transition(
            "demo",
            tier,
            "converged",
            {"release": RELEASE},
            policy=ConvergencePolicy(timeout=timedelta(minutes=10)),
            on_stale="skip",
            deferrable=True,
        )
        for tier in ("db", "app", "web")
    ]
    release_lease = ReleaseLeaseOperator(task_id="release_lease", environment="demo")
    chain(choose_release(), acquire, *steps, release_lease)
    release_lease.as_teardown(setups=acquire)
