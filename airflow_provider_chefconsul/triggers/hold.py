"""What the triggers share that wait for what holds a write up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_answer
from airflow_provider_chefconsul.triggers.steered import SteeredTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class HoldTrigger(SteeredTrigger[bool]):
    """
    Waits until nothing holds a write up; the task then begins again.

    So it also does when somebody ends the rollout that the write is about: the task finds that there is nothing left to
    write, or that its write is refused.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say that it is over: ``{"is_over", "error"}``."""
        try:
            yield TriggerEvent({"is_over": await self.wait(), "error": ""})
        except ChefConsulError as error:
            yield TriggerEvent({"is_over": False, "error": describe_error(error)})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> bool | None:
        """Wait until it is over; True, or None when ``until`` came first."""
        from airflow_provider_chefconsul.domain.write.steering import RolloutEnd

        async with self._holding_view(view) as opened:
            ended = await self._unless_ended(opened, self._wait_until_over(opened, until))
        if isinstance(ended, RolloutEnd):
            self.log.info("%s: waiting no longer: %s", self.environment, ended.reason)
            return True
        return ended

    @abstractmethod
    async def _wait_until_over(self, view: SharedView, until: datetime | None) -> bool | None:
        """Wait for what holds the write up; True, or None when ``until`` came first."""


def check_is_over(event: Any) -> None:
    """Check that what held a task up is over.

    :raises ChefConsulError: the event carries an error, or is not one of such a trigger's.
    """
    read_answer(event, "the end of a hold", lambda fields: bool(fields["is_over"]))
