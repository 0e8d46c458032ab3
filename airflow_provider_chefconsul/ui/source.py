"""What the board follows in Consul: a tier, and an environment's lease and tiers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_chefconsul.consul.journal_watch import JournalState, watch_journal
from airflow_provider_chefconsul.consul.orphan import add_fenced
from airflow_provider_chefconsul.consul.overview import (
    list_environments,
    list_tiers,
    read_early_failure,
    read_lease,
)
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.watching.topic import Viewer
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.ui.tier_state import TierState, next_state

PATIENCE = timedelta(seconds=1)  # then viewers see that Consul is unavailable
_SHORTEST_PAUSE = 0.1  # seconds between two states of a tier; nobody could see more
# Somebody is looking, so a large tier rests less between two reads than for a wait whose end is far off; still in
# proportion to its size, as reading it takes.
_SECONDS_LEFT_PER_MEMBER = 20e-6
_LIST_TIERS_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """An environment's lease and tiers."""

    lease: Lease | Unreadable | None
    tiers: tuple[str, ...]


async def watch_tier(connection_id: str, environment: str, tier: str) -> AsyncGenerator[TierState]:
    """Yield a tier's state now and after each change; the history is read only after a write."""
    viewer = Viewer()
    async with (
        ConsulHook(connection_id).open_view(patience=PATIENCE) as view,
        aclosing(view.watch(environment, tier, ServiceMembers(tier), viewer=viewer, with_tickets=True)) as snapshots,
    ):
        state: TierState | None = None
        async for snapshot in snapshots:
            viewer.seconds_left = len(snapshot.members) * _SECONDS_LEFT_PER_MEMBER
            if state is not None and state.status.desired == snapshot.desired:
                history = state.history
            else:
                history = await view.history(environment, tier)
            state = next_state(environment, tier, snapshot, history, state)
            yield state
            await asyncio.sleep(_SHORTEST_PAUSE)


async def watch_environment(connection_id: str, environment: str) -> AsyncGenerator[EnvironmentState]:
    """Yield an environment's lease and tiers now and after each change."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        state: EnvironmentState | None = None
        index = 0
        while True:
            found = EnvironmentState(await read_lease(view, environment), tuple(await list_tiers(view, environment)))
            if found != state:
                state = found
                yield state
            index, _ = await view.client.look(view.keys.lease(environment), index=index, wait=_LIST_TIERS_EVERY)


async def watch_acts(connection_id: str, environment: str) -> AsyncGenerator[JournalState]:
    """Yield an environment's freeze and the newest entries of its journal now and after each change."""
    async with (
        ConsulHook(connection_id).open_view(patience=PATIENCE) as view,
        aclosing(watch_journal(view, environment)) as states,
    ):
        async for state in states:
            yield state


async def add_fenced_runs(
    connection_id: str, environment: str, runs: Collection[DagRun], ends: Mapping[DagRun, RunEnd]
) -> dict[DagRun, RunEnd]:
    """How Dag runs ended, with those that have lost the environment's lease."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return await add_fenced(view, environment, runs, ends)


async def read_tier(connection_id: str, environment: str, tier: str) -> TierState:
    """A tier's state now, without its history."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return next_state(environment, tier, await view.snapshot(environment, tier, ServiceMembers(tier)), {})


async def find_early_failure(connection_id: str, environment: str, node: str) -> EarlyFailure | None:
    """A node's last run that failed before it read a tier."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return await read_early_failure(view, environment, node)


async def read_environments(connection_id: str) -> dict[str, list[str]]:
    """The tiers of each environment."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return {environment: await list_tiers(view, environment) for environment in await list_environments(view)}


async def read_tiers(connection_id: str, environment: str) -> list[str]:
    """The tiers of an environment; empty for an unknown one."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return await list_tiers(view, environment)


async def find_environments(connection_id: str, run: DagRun) -> list[str]:
    """The environments that a Dag run holds, or whose history has a generation that it wrote."""
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        return [each for each in await list_environments(view) if await _is_of_run(view, each, run)]


async def _is_of_run(view: SharedView, environment: str, run: DagRun) -> bool:
    lease = await read_lease(view, environment)
    if isinstance(lease, Lease) and lease.holder == run:
        return True
    for tier in await list_tiers(view, environment):
        history = await view.history(environment, tier)
        if any(DagRun.of(desired.written_by) == run for desired in history.values()):
            return True
    return False
