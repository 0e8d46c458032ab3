"""Change events: the generations in an environment's history that a watcher has not sent an event for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_chefconsul.domain.event.cursor import Cursor
from airflow_provider_chefconsul.domain.model.desired import DesiredState

Histories = Mapping[str, Mapping[int, DesiredState]]
"""By tier and generation, the desired states as they were first written; the newest 50 of each tier are kept."""


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One generation of a tier.

    :param desired: the desired state as it was first written at that generation.
    :param missed: how many generations before it got no event, since the history no longer has them.
    """

    environment: str
    tier: str
    generation: int
    desired: DesiredState
    missed: int = 0

    @property
    def cursor(self) -> Cursor:
        """The watcher's cursor once this event is sent."""
        return {self.tier: self.generation}

    def to_payload(self) -> dict[str, Any]:
        """What consumers receive; ``key`` stays the same when the event is sent again."""
        return {
            "event": "desired_state_changed",
            "key": f"{self.environment}/{self.tier}@{self.generation}",
            "environment": self.environment,
            "tier": self.tier,
            **self.desired.assignment_at(self.generation).to_fields(),
            "generation": self.generation,
            "canary": self.desired.is_of_canary(self.generation),
            "written_by": self.desired.written_by.to_fields(),
            "written_at": self.desired.written_at,
            "missed": self.missed,
        }


def newest_generations(histories: Histories, tiers: Sequence[str] | None) -> Cursor:
    """The newest generation of each tier: the cursor of a watcher that starts now.

    :param tiers: None means all.
    """
    return {tier: max(history) for tier, history in _select(histories, tiers).items() if history}


def find_changes(
    environment: str, histories: Histories, cursor: Cursor, tiers: Sequence[str] | None
) -> list[ChangeEvent]:
    """An event for each generation beyond the cursor, oldest first within a tier.

    :param tiers: None means all.
    """
    events = []
    for tier, history in sorted(_select(histories, tiers).items()):
        newest_sent = cursor.get(tier, 0)
        for generation in sorted(history):
            if generation > newest_sent:
                missed = generation - newest_sent - 1
                events.append(ChangeEvent(environment, tier, generation, history[generation], missed))
                newest_sent = generation
    return events


def _select(histories: Histories, tiers: Sequence[str] | None) -> Histories:
    return {tier: history for tier, history in histories.items() if tiers is None or tier in tiers}
