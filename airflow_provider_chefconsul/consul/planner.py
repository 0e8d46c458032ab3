"""Deciding for the tiers of one write: what a change or a rollback means for each, on what stands there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.plan import PlannedTier
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector, ServiceMembers
from airflow_provider_chefconsul.domain.write.change import NOBODY, Change, Decision, plan_write
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class ChangePlanner:
    """Plans changes of tiers."""

    def __init__(self, view: SharedView, changes: Mapping[str, Change], selectors: Mapping[str, Selector]) -> None:
        self.tiers: Sequence[str] = list(changes)
        self.writer = next(iter(changes.values())).writer
        self._view = view
        self._changes = changes
        self._selectors = selectors

    async def plan(self, planned: PlannedTier) -> Decision:
        """Decide for one tier."""
        tier, change = planned.tier, self._changes[planned.tier]
        members = NOBODY
        selector = self._selectors.get(tier, ServiceMembers(tier))
        if change.canary is not None:
            members = await read_members(self._view.client, selector)
        return plan_write(
            planned.current,
            change,
            written_at=planned.written_at,
            newest_generation=planned.newest_generation,
            new_id=planned.new_id,
            members=members,
            by_name=isinstance(selector, ListedMembers),  # other nodes may read the same desired state
        )


class RollBackPlanner:
    """Plans rollbacks of tiers."""

    def __init__(self, view: SharedView, environment: str, rollback: RollBack, tiers: Iterable[str]) -> None:
        self.tiers: Sequence[str] = list(tiers)
        self.writer = rollback.writer
        self._view = view
        self._environment = environment
        self._rollback = rollback

    async def plan(self, planned: PlannedTier) -> Decision:
        """Decide for one tier."""
        history = await self._view.history(self._environment, planned.tier)
        return plan_rollback(
            planned.current,
            self._rollback,
            history,
            written_at=planned.written_at,
            newest_generation=planned.newest_generation,
            new_id=planned.new_id,
        )
