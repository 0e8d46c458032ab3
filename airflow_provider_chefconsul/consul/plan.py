"""What a write of desired states would do, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_chefconsul.domain.model.desired import DesiredState, Writer
from airflow_provider_chefconsul.domain.write.change import Decision, Refused, Unchanged, Write
from airflow_provider_chefconsul.exceptions import WriteRefused

Operation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedTier:
    """What a plan rests on: the desired state that stands, and the generations in the tier's history.

    :param new_id: the id of the assignment that a write would make.
    """

    tier: str
    current: DesiredState | None
    generations: Sequence[int]
    written_at: str
    new_id: str

    @property
    def newest_generation(self) -> int:
        """The newest in the history, also of those that cannot be read; 0 when it is empty."""
        return max(self.generations, default=0)


@dataclass(frozen=True, slots=True)
class TierPlan:
    """What is to be done about a tier, and what that rests on."""

    planned: PlannedTier
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """What a write would do now.

    :param tiers: by tier.
    :param refusal: why nothing would be written; None when nothing stands against it.
    :param operations: the transaction that does it; empty when nothing is to be written.
    """

    tiers: Mapping[str, TierPlan]
    refusal: WriteRefused | None = None
    operations: Sequence[Operation] = ()

    @property
    def decisions(self) -> dict[str, Write | Unchanged]:
        """By tier, what is to be done.

        :raises WriteRefused: nothing is.
        """
        if self.refusal is not None:
            raise self.refusal
        return {tier: each.decision for tier, each in self.tiers.items() if not isinstance(each.decision, Refused)}


class Planner(Protocol):
    """Decides for each of some tiers what is to be written; asked again when somebody else wrote first."""

    tiers: Sequence[str]
    writer: Writer

    async def plan(self, planned: PlannedTier) -> Decision:
        """Decide for one tier."""
