"""The JSON of what is going on: rollouts, and what each tier was and is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.consul.journal_watch import JournalState
from airflow_provider_chefconsul.domain.explanation.orphan import describe_end, describe_ways_on
from airflow_provider_chefconsul.domain.explanation.rollout import (
    describe_attention,
    describe_content,
    describe_verdict,
    describe_wait,
)
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.attention import Attention, find_attention
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus, find_last_rollout
from airflow_provider_chefconsul.domain.verdict.served import find_before, find_beginning, find_left_state
from airflow_provider_chefconsul.domain.write.steering import find_owner
from airflow_provider_chefconsul.ui.acts import BoardAct
from airflow_provider_chefconsul.ui.document import MayRead, describe_writer
from airflow_provider_chefconsul.ui.journal import describe_reason
from airflow_provider_chefconsul.ui.rights import Rights
from airflow_provider_chefconsul.ui.tier_state import TierState


def describe_situation(
    states: Mapping[str, TierState],
    journal: JournalState,
    orphans: Mapping[str, RunEnd | None],
    viewer: Rights,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The rollouts to show, and by tier what leads its card; tiers that need a person come first.

    :param orphans: by tier with a canary that was left out, how the Dag run ended that rolled it.
    """
    found = {tier: find_last_rollout(tier, state.status, journal.entries) for tier, state in states.items()}
    frozen = {
        tier for tier in states if isinstance(journal.freeze, Freeze) and journal.freeze.find(tier, now=now) is not None
    }
    tiers = {
        tier: _describe_tier(state, found[tier], journal, orphans.get(tier), is_frozen=tier in frozen, now=now)
        for tier, state in states.items()
    }
    lines = [
        {
            "tiers": [tier],
            "needs_person": bool(tiers[tier]["attention"]),
            **_describe_rollout(rollout, states[tier], viewer.may_read, is_frozen=tier in frozen),
            **_describe_orphan(rollout, orphans.get(tier), now=now),
        }
        for tier, rollout in _choose(found).items()
    ]
    for tier, owner in owners_of(states).items():
        tiers[tier]["acts"] = _choose_acts(states[tier], viewer, owner)
    order = sorted(tiers, key=lambda tier: (tiers[tier]["rank"], tier))
    lines.sort(key=lambda each: order.index(each["tiers"][0]))
    return {"order": order, "tiers": tiers, "rollouts": _merge(lines), "may_edit": viewer.may_edit}


def owners_of(states: Mapping[str, TierState]) -> dict[str, Writer]:
    """By tier, who may steer it; tiers that nobody has declared are left out."""
    return {
        tier: find_owner(state.status.desired, state.history)
        for tier, state in states.items()
        if isinstance(state.status.desired, DesiredState)
    }


def _choose_acts(state: TierState, viewer: Rights, owner: Writer) -> list[str]:
    """What the viewer can do to a tier, which is what the page shows buttons for; freezing is the same for all."""
    desired = state.status.desired
    if not viewer.may_steer(owner) or not isinstance(desired, DesiredState):
        return []
    return [BoardAct.PROMOTE, BoardAct.ABORT] if desired.canary else [BoardAct.ROLL_BACK]


def _choose(found: Mapping[str, Rollout | None]) -> dict[str, Rollout]:
    """The rollouts that have not ended, and those that the Dag run began which acted last."""
    known = {tier: rollout for tier, rollout in found.items() if rollout is not None}
    newest = max(known.values(), key=lambda rollout: rollout.since, default=None)
    return {
        tier: rollout
        for tier, rollout in known.items()
        if not rollout.status.has_ended or (newest is not None and rollout.begun_by.is_same_run(newest.begun_by))
    }


def _merge(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines, of which those of a Dag run whose rollouts all converged on the same are one."""
    merged: list[dict[str, Any]] = []
    for line in lines:
        alike = (
            each
            for each in merged
            if each["status"] == line["status"] == RolloutStatus.CONVERGED
            and (each["content"], each["run"], each["wave"]) == (line["content"], line["run"], line["wave"])
        )
        if (same := next(alike, None)) is None:
            merged.append(line)
        else:
            same["tiers"] += line["tiers"]
            same["since"] = max(same["since"], line["since"])
    return merged


def _describe_rollout(rollout: Rollout, state: TierState, may_read: MayRead, *, is_frozen: bool) -> dict[str, Any]:
    return {
        "status": rollout.status,
        "content": one_line(describe_content(rollout.declared)),
        "run": describe_writer(rollout.begun_by, may_read),
        "wave": one_line(str(rollout.wave)) if rollout.wave else None,
        "verdict": one_line(describe_verdict(rollout)),
        "reason": describe_reason(rollout.said_by, rollout.reason, may_read),
        "said_by": describe_writer(rollout.said_by, may_read),
        "wait": one_line(describe_wait(rollout, state.status, is_frozen=is_frozen)),
        "since": one_line(rollout.since),
        "has_ended": rollout.status.has_ended,
        "is_frozen": is_frozen,
    }


def _describe_orphan(rollout: Rollout, orphan: RunEnd | None, *, now: datetime) -> dict[str, Any]:
    """What is said instead of a rollout that nobody rolls any more; one that was stopped says why already."""
    if orphan is None or rollout.status not in {RolloutStatus.NODES, RolloutStatus.NEXT_WAVE}:
        return {}
    wait = f"its Dag run {describe_end(orphan, now=now)}; {describe_ways_on(orphan)}"
    since = rollout.since if orphan.at is None else write_moment(orphan.at)
    return {"status": Attention.ORPHANED, "verdict": "orphaned", "wait": wait, "since": one_line(since)}


def _describe_tier(
    state: TierState,
    rollout: Rollout | None,
    journal: JournalState,
    orphan: RunEnd | None,
    *,
    is_frozen: bool,
    now: datetime,
) -> dict[str, Any]:
    """What leads a tier's card; those that need a person have rank 0, and come first."""
    status, desired = state.status, state.status.desired
    attention = find_attention(status, rollout, is_orphaned=orphan is not None, is_frozen=is_frozen, now=now)
    fields: dict[str, Any] = {
        "attention": describe_attention(attention) if attention else None,
        "is_frozen": is_frozen and attention != Attention.FROZEN_ROLLOUT,  # said once
        "content": None,
        "before": None,
        "since": None,
        "left": None,
        "acts": [],
    }
    is_done = rollout is None or rollout.status == RolloutStatus.CONVERGED
    if isinstance(desired, DesiredState):
        before = find_before(desired, state.history)
        left = find_left_state(state.tier, desired, state.history, journal.entries)
        fields["content"] = one_line(describe_content(desired.stable))
        fields["before"] = one_line(describe_content(before)) if before else None
        fields["since"] = one_line(find_beginning(state.tier, desired, state.history, journal.entries))
        fields["left"] = one_line(describe_content(left)) if left else None
    fields["rank"] = 0 if attention else 1 if fields["left"] else 3 if is_done else 2
    return fields
