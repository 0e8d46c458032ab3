"""Waiting until nobody keeps tiers frozen, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.event_payload import describe_error
from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class FrozenTrigger(WaitingTrigger[bool]):
    """
    Waits until none of the tiers is frozen; the task then writes again.

    It makes nothing in Consul, so there is nothing to clean up. It has no deadline: whoever froze a tier says when it
    ends, and the task's ``execution_timeout`` bounds the rest.

    Parameters are those of ``WaitingTrigger``, and:

    :param tiers: the tiers.
    """

    def __init__(self, *, tiers: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tiers = list(tiers)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "tiers": self.tiers}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say that it is over: ``{"is_over", "error"}``."""
        try:
            yield TriggerEvent({"is_over": await self.wait(), "error": ""})
        except ChefConsulError as error:
            yield TriggerEvent({"is_over": False, "error": describe_error(error)})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> bool | None:
        """Wait until none of the tiers is frozen.

        :returns: True; None when ``until`` came first.
        """
        from airflow_provider_chefconsul.consul.freeze import wait_until_free

        async with self._holding_view(view) as opened:
            return await wait_until_free(opened, self.environment, self.tiers, until=until, on_progress=self.log.info)
