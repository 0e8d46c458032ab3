"""
A data Dag that starts when environment demo has converged: after a rollout, however long that took.

It names no rollout Dag. The asset changes when all tiers of the environment have converged on state ``converged`` at
the same time, whoever declared that, and once for each new generation: the steps between (``off``, ``waiting``) start
nothing. What has converged long before this Dag is unpaused starts nothing either. While it is paused, nobody watches.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_chefconsul import ConsulHook, tier_converged

TIERS = ("web", "app", "db")

log = logging.getLogger(__name__)


async def read_releases() -> dict[str, str]:
    """The current release of each tier."""
    releases = {}
    async with ConsulHook().open_view() as view:
        for tier in TIERS:
            record = await view.read("demo", tier)
            desired = record.required_desired(f"demo/{tier}")
            releases[tier] = str(desired.stable.values.get("release"))
    return releases


with DAG(
    dag_id="event_driven_after_rollout",
    description="starts when all tiers of demo have converged",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=[tier_converged("demo", state="converged")],
    max_active_runs=1,
    tags=["chefconsul", "example"],
) as dag:

    @task
    def recompute_prices(triggering_asset_events: Any = None) -> dict[str, str]:
        """Say which release each tier has; your own work goes here.

        Several rollouts in quick succession may start a single run, whose event is that of an older one, so it works
        with the releases that it reads now.
        """
        for events in (triggering_asset_events or {}).values():
            for event in events:
                log.info("Started by %s", event.extra["payload"]["key"])
        releases = asyncio.run(read_releases())
        for tier, release in releases.items():
            log.info("%s has release %s", tier, release)
        return releases

    recompute_prices()
