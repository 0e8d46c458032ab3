"""The seven transitions of phase 2 in one process without Airflow: `python -m benchmarks.core_rollout PORT RELEASE`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from demo.nodes import ENVIRONMENT

STEPS = (
    ("web", "off"), ("app", "off"), ("db", "converged"), ("app", "waiting"), ("app", "converged"),
    ("web", "waiting"), ("web", "converged"),
)  # fmt: skip
"""As dags/phase2_declarative_rollout.py has them: none may begin before the one above has ended."""


async def roll_out(port: int, release: str) -> None:
    """Take all steps: write, and wait for the nodes, which watch."""
    policy = ConvergencePolicy(timeout=timedelta(minutes=1))
    async with ConsulClient(ConsulSettings("127.0.0.1", port)) as client:
        view = SharedView(client)
        for tier, state in STEPS:
            change = Change(state, Writer("bench", "core", f"{tier}_{state}"), {"release": release})
            generation = (await write(view, ENVIRONMENT, {tier: change})).generations[tier]
            wait = Wait(generation, datetime.now(UTC) + policy.timeout)
            results = await wait_for_tiers(view, ENVIRONMENT, {tier: wait}, {tier: ServiceMembers(tier)}, policy)
            assert isinstance(results[tier].verdict, Converged), results


if __name__ == "__main__":
    asyncio.run(roll_out(int(sys.argv[1]), sys.argv[2]))
