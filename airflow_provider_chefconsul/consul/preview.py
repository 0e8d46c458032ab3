"""Saying what a change would do, on what stands in Consul now; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Members, Selector
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.plan import Step, change_for, preview_waves, preview_write
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.plan import TierPlan
    from airflow_provider_chefconsul.consul.view import SharedView


@dataclass(frozen=True, slots=True)
class TierPreview:
    """What a change would do to a tier: one step for each wave, or a single one."""

    members: Members
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do to tiers.

    :param refusal: why the first write would be refused as a whole; None when nothing stands against it.
    """

    tiers: Mapping[str, TierPreview]
    refusal: WriteRefused | None


async def preview(
    view: SharedView, environment: str, change: Change, selectors: Mapping[str, Selector], waves: Sequence[Wave] = ()
) -> Preview:
    """What a change would do, decided as :meth:`SharedView.write` decides it.

    :param selectors: by tier, who belongs to it.
    :param waves: what each wave would do; the change has no canary then.
    """
    first = change_for(change, waves[0], is_first=True) if waves else change
    plan = await view.plan(environment, dict.fromkeys(selectors, first), selectors)
    found = {}
    for tier, planned in plan.tiers.items():
        members = await read_members(view.client, selectors[tier])
        found[tier] = TierPreview(members, _steps(planned, change, waves, members, selectors[tier]))
    return Preview(found, plan.refusal)


def _steps(
    plan: TierPlan, change: Change, waves: Sequence[Wave], members: Members, selector: Selector
) -> Sequence[Step]:
    current = plan.planned.current
    if not waves:
        return [preview_write(current, plan.decision, members, change.canary)]
    return preview_waves(
        current,
        plan.decision,
        change,
        waves,
        members,
        written_at=plan.planned.written_at,
        newest_generation=plan.planned.newest_generation,
        by_name=isinstance(selector, ListedMembers),
    )
