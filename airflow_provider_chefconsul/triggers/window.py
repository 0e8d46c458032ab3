"""Waiting until a change window is open, in a worker or in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_answer
from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_LOOK = 60.0  # seconds until it looks at the clock again: clocks are set, and machines suspended


def current_time() -> datetime:
    """The time by which windows are open; a seam, so that tests need not wait for one."""
    return datetime.now(UTC)


class WindowTrigger(WaitingTrigger[bool]):
    """
    Waits until a change window is open.

    It reads nothing in Consul, and only renews the lease of its Dag run, if it has one. Started again after the window
    has closed, it waits for the next opening.

    Parameters are those of ``WaitingTrigger``, and:

    :param window: the JSON form of a :class:`ChangeWindow`.
    """

    def __init__(self, *, window: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = ChangeWindow.from_fields(window)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "window": self.window.to_fields()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say that the window is open: ``{"is_over", "error"}``."""
        try:
            await self.wait()
        except ChefConsulError as error:
            yield TriggerEvent({"is_over": False, "error": describe_error(error)})
        else:
            yield TriggerEvent({"is_over": True, "error": ""})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> bool | None:
        """Wait until the window is open; True, or None when ``until`` came first."""
        patience = None if until is None else (until - datetime.now(UTC)).total_seconds()
        async with self._holding_view(view):
            try:
                async with asyncio.timeout(patience):
                    while not self.window.is_open(now := current_time()):
                        left = self.window.next_opening(now) - now
                        await asyncio.sleep(min(left.total_seconds(), _LOOK))
            except TimeoutError:
                return None
        return True


def check_is_over(event: Any) -> None:
    """Check that what held a task up is over.

    :raises ChefConsulError: the event carries an error, or is not one of such a trigger's.
    """
    read_answer(event, "the end of a hold", lambda fields: bool(fields["is_over"]))
