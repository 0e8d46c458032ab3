"""
Bring an environment to the release that is due, according to a calendar of releases.

`releases.json`, next to this file, lists each release with the day on which it falls due, at midnight UTC. Each of
these days has a Dag run. A backfill takes a lagging environment through its upgrades, one at a time and in order:

    airflow backfill create --dag-id backfill_environment_upgrades
        --from-date 2026-10-01 --to-date 2026-11-01 --max-active-runs 1

Airflow cannot create one of several dates on SQLite, and so not in `airflow standalone`: there, create it date by date.

Running it again with `--reprocess-behavior completed` changes nothing. Neither does an upgrade that comes too late:
with `--run-backwards` the newest release comes first, and each older one is skipped; its log names the newer write.

Each tier is upgraded while the others serve, so each release must be compatible with the one before it, including its
database. If it is not, turn the application off first, with `max_absent=0`, as `phase2_declarative_rollout` does.

A run without a logical date, such as a manual one, brings the environment to the newest release due at that time.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.events import EventsTimetable  # airflow.sdk's own cannot be serialized in 3.3

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
        """The newest release that is due at the Dag run's logical time, to which its writes belong."""
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
