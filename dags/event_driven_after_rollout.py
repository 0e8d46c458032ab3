"""
A data Dag that starts when environment demo has converged: after a rollout, however long that took.

It names no rollout Dag. The asset changes when all tiers of the environment have converged on state ``converged`` at
the same time, whoever declared that, and once for each new generation: the steps between (``off``, ``waiting``) start
nothing. What has converged long before this Dag is unpaused starts nothing either. While it is paused, nobody watches.
"""

from __future__ import annotations

import logging
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_chefconsul.assets import tier_converged

log = logging.getLogger(__name__)

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

        Several rollouts that follow each other closely may start one run: the newest event counts.
        """
        events = [event for events in (triggering_asset_events or {}).values() for event in events]
        if not events:
            log.info("Started by hand, not by a rollout")
            return {}
        tiers = events[-1].extra["payload"]["tiers"]
        releases = {tier: str(told["values"].get("release")) for tier, told in tiers.items()}
        for tier, told in tiers.items():
            log.info("%s has release %s (generation %d)", tier, releases[tier], told["generation"])
        return releases

    recompute_prices()
