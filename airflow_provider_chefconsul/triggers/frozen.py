"""Waiting until nobody keeps tiers frozen, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.triggers.hold import HoldTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class FrozenTrigger(HoldTrigger):
    """
    Waits until none of the tiers is frozen; the task then writes again.

    It makes nothing in Consul, so there is nothing to clean up. It has no deadline: whoever froze a tier says when it
    ends, and the task's ``execution_timeout`` bounds the rest.

    Parameters are those of ``HoldTrigger``, and:

    :param tiers: the tiers.
    """

    def __init__(self, *, tiers: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tiers = list(tiers)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "tiers": self.tiers}

    async def _wait_until_over(self, view: SharedView, until: datetime | None) -> bool | None:
        from airflow_provider_chefconsul.consul.freeze import wait_until_free

        return await wait_until_free(view, self.environment, self.tiers, until=until, on_progress=self.log.info)
