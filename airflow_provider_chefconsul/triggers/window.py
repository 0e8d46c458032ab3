"""Waiting until a change window is open, in a worker or in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.triggers.hold import HoldTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_LOOK = 60.0  # seconds until it looks at the clock again: clocks are set, and machines suspended


def current_time() -> datetime:
    """The time by which windows are open; a seam, so that tests need not wait for one."""
    return datetime.now(UTC)


class WindowTrigger(HoldTrigger):
    """
    Waits until a change window is open.

    Started again after the window has closed, it waits for the next opening. Where its write belongs to no rollout, it
    reads nothing in Consul, and only renews the lease of its Dag run, if it has one.

    Parameters are those of ``HoldTrigger``, and:

    :param window: the JSON form of a :class:`ChangeWindow`.
    """

    def __init__(self, *, window: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = ChangeWindow.from_fields(window)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "window": self.window.to_fields()}

    async def _wait_until_over(self, view: SharedView, until: datetime | None) -> bool | None:  # noqa: ARG002 it reads nothing
        try:
            async with asyncio.timeout(None if until is None else (until - datetime.now(UTC)).total_seconds()):
                while not self.window.is_open(now := current_time()):
                    left = self.window.next_opening(now) - now
                    await asyncio.sleep(min(left.total_seconds(), _LOOK))
        except TimeoutError:
            return None
        return True
