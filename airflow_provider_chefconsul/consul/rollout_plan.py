"""Planning what a change or a rollback would do to tiers now, wave by wave; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.write import plan, plan_steering
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Members, Selector
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis
from airflow_provider_chefconsul.domain.write.plan import PlannedWave, change_for, plan_wave, plan_waves
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


@dataclass(frozen=True, slots=True)
class TierRollout:
    """What a change would do to a tier: its waves in order, or one for the whole tier."""

    members: Members
    waves: Sequence[PlannedWave]


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What a change would do to tiers.

    :param tiers: by tier.
    :param refusal: why the first write would be refused as a whole; None when it would not.
    """

    tiers: Mapping[str, TierRollout]
    refusal: WriteRefused | None


async def plan_rollout(
    view: SharedView, environment: str, change: Change, selectors: Mapping[str, Selector], waves: Sequence[Wave] = ()
) -> RolloutPlan:
    """Plan a change without writing it.

    :param selectors: by tier, its members.
    :param waves: the rollout's waves; the change then has no canary.
    """
    first = change_for(change, waves[0], is_first=True) if waves else change
    planned = await plan(view, environment, dict.fromkeys(selectors, first), selectors)
    found = {}
    for tier, each in planned.tiers.items():
        basis = await _add_members(view, each.basis, selectors[tier])
        members = basis.members
        if waves:
            found[tier] = TierRollout(members, plan_waves(basis, each.decision, change, waves))
        else:
            found[tier] = TierRollout(members, [plan_wave(basis, each.decision, change.canary)])
    return RolloutPlan(found, planned.refusal)


async def plan_rollback_of_members(
    view: SharedView, environment: str, rollback: RollBack, selectors: Mapping[str, Selector]
) -> RolloutPlan:
    """Plan a rollback without writing it.

    :param selectors: by tier, its members.
    """
    planned = await plan_steering(view, environment, list(selectors), rollback)
    found = {}
    for tier, each in planned.tiers.items():
        basis = await _add_members(view, each.basis, selectors[tier])
        found[tier] = TierRollout(basis.members, [plan_wave(basis, each.decision, None)])
    return RolloutPlan(found, planned.refusal)


async def _add_members(view: SharedView, basis: Basis, selector: Selector) -> Basis:
    members = await read_members(view.client, selector)
    return replace(basis, members=members, by_name=isinstance(selector, ListedMembers))
