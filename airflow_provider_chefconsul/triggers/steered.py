"""What the triggers share whose wait has lost its point once somebody has ended the rollout."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.write.steering import RolloutEnd

T = TypeVar("T")
A = TypeVar("A")


class SteeredTrigger(WaitingTrigger[T]):
    """
    Waits, but no longer than until somebody promotes or aborts the rollout.

    Parameters are those of ``WaitingTrigger``, and:

    :param rollouts: by tier, the generation of the canary that the wait is about; without one, nobody ends the wait.
    """

    def __init__(self, *, rollouts: Mapping[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollouts = dict(rollouts or {})

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "rollouts": self.rollouts}

    async def _unless_ended(self, view: SharedView, waiting: Awaitable[A]) -> A | RolloutEnd:
        from airflow_provider_chefconsul.consul.steered import unless_ended

        return await unless_ended(view, self.environment, self.rollouts, waiting)
