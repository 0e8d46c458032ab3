"""What a change would do to tiers, wave by wave, on what stands in Consul now; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.write import plan
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Members, Selector
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.plan import PlannedWave, change_for, plan_wave, plan_waves
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


@dataclass(frozen=True, slots=True)
class TierRollout:
    """What a change would do to a tier, one wave after the other, or the whole tier at once."""

    members: Members
    waves: Sequence[PlannedWave]


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What a change would do to tiers.

    :param tiers: by tier.
    :param refusal: why the first write would be refused as a whole; None when nothing stands against it.
    """

    tiers: Mapping[str, TierRollout]
    refusal: WriteRefused | None


async def plan_rollout(
    view: SharedView, environment: str, change: Change, selectors: Mapping[str, Selector], waves: Sequence[Wave] = ()
) -> RolloutPlan:
    """What a change would do.

    :param selectors: by tier, who belongs to it.
    :param waves: what each wave would do; the change has no canary then.
    """
    first = change_for(change, waves[0], is_first=True) if waves else change
    planned = await plan(view, environment, dict.fromkeys(selectors, first), selectors)
    found = {}
    for tier, each in planned.tiers.items():
        members = await read_members(view.client, selectors[tier])
        basis = replace(each.basis, members=members, by_name=isinstance(selectors[tier], ListedMembers))
        if waves:
            found[tier] = TierRollout(members, plan_waves(basis, each.decision, change, waves))
        else:
            found[tier] = TierRollout(members, [plan_wave(basis, each.decision, change.canary)])
    return RolloutPlan(found, planned.refusal)
