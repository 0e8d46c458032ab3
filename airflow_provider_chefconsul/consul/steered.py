"""Waiting until somebody ends a rollout from outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.write.steering import RolloutEnd, find_end
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

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
