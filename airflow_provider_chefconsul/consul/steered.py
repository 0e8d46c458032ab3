"""Waiting until somebody ends a rollout from outside, beside whatever else is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.write.steering import RolloutEnd, find_end, find_gated
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.model.writer import Writer

T = TypeVar("T")

_BACKOFF = 3.0  # seconds, when the desired state cannot be read


async def wait_for_end(view: SharedView, environment: str, tier: str, generation: int) -> RolloutEnd:
    """Wait until somebody has promoted or aborted the rollout with this canary, however long that takes."""
    index = 0
    while True:
        try:
            index, entry = await view.client.look(view.keys.desired(environment, tier), index=index)
            end = find_end(DesiredState.from_json(entry.key, entry.value), generation) if entry is not None else None
        except (ConsulUnavailable, MalformedDocument):  # whoever waits for more than this says so
            index = 0
            await asyncio.sleep(_BACKOFF)
            continue
        if end is not None:
            return end


async def unless_ended(
    view: SharedView, environment: str, rollouts: Mapping[str, int], waiting: Awaitable[T]
) -> T | RolloutEnd:
    """Wait for something, but no longer than until somebody promotes or aborts one of the rollouts.

    :param rollouts: by tier, the generation of its canary.
    :param waiting: cancelled when a rollout ends first.
    """
    ends = [asyncio.ensure_future(wait_for_end(view, environment, *rollout)) for rollout in rollouts.items()]
    tasks: list[asyncio.Future[T | RolloutEnd]] = [*ends, asyncio.ensure_future(waiting)]  # type: ignore[list-item]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def find_gated_rollout(view: SharedView, environment: str, tier: str, writer: Writer) -> dict[str, int]:
    """By tier, the generation of the canary that a gate of the writer's Dag run is about; empty without one.

    :raises MalformedDocument: the desired state cannot be read.
    """
    desired = (await view.desired(environment, [tier]))[tier]
    history = await view.history(environment, tier)
    generation = None if desired is None else find_gated(desired, history, writer)
    return {} if generation is None else {tier: generation}
