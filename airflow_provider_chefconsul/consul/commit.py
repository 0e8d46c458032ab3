"""Making a write: read the basis of a plan, decide, and write in one transaction that checks the basis.

Every write names the ModifyIndex that it replaces; when another writer was faster, it is planned again. While there is
a lease, only its holder may write, and renews it in the same transaction; otherwise the transaction checks that there
is still none. It also checks that no freeze has come or gone, and tells the journal. When an answer is lost, the stored
documents tell whether the write was made, so it is not made twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.fence import fence_freeze, fence_writes
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import make_appends, now_written, read_journal
from airflow_provider_chefconsul.consul.plan import Plan, TierPlan, make_transaction
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave, find_good
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Write
from airflow_provider_chefconsul.domain.write.steering import find_rollout
from airflow_provider_chefconsul.exceptions import (
    ConsulUnavailable,
    EnvironmentLeased,
    LeaseLost,
    MalformedDocument,
    RequestTooLarge,
    RolloutAborted,
    StaleWrite,
    TierFrozen,
    TransactionConflict,
    WriteRefused,
)

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_PAUSE = 0.1  # seconds
_ID_BYTES = 8  # of an assignment's id


@dataclass(frozen=True, slots=True)
class Intent:
    """A requested write.

    :param plan_tier: decides for a tier on its basis; called again when another writer was faster.
    :param selectors: by tier, its members, where the decision needs them.
    :param needs_good: whether the decision needs to know which generations have converged.
    :param is_steering: whether it may be made while the Dag run holds the environment whose rollout it steers.
    :param despite_freeze: whether it may move frozen tiers.
    :param waves: by tier, which part of it the write is about, for the journal.
    :param reason: for the journal.
    """

    writer: Writer
    tiers: Sequence[str]
    plan_tier: Callable[[str, Basis], Decision]
    selectors: Mapping[str, Selector] = field(default_factory=dict)
    needs_history: bool = False
    needs_good: bool = False
    is_steering: bool = False
    despite_freeze: bool = False
    waves: Mapping[str, JournalWave] = field(default_factory=dict)
    reason: str = ""


async def commit(view: SharedView, environment: str, intent: Intent) -> Plan:
    """Plan and write until Consul accepts the transaction."""
    give_up = monotonic() + view.patience.total_seconds()
    unanswered: Plan | None = None
    while True:
        try:
            if unanswered is not None and await _has_written(view, environment, unanswered):
                return unanswered
            unanswered = None
            planned = await make_plan(view, environment, intent)
            if planned.refusal is not None:
                raise planned.refusal
            if planned.operations:
                unanswered = planned
                await view.client.transact(planned.operations)
        except RequestTooLarge as error:
            path = _tier_path(environment, intent)
            raise RequestTooLarge(f"{path}: too many tiers or values: {error}") from error
        except TransactionConflict:
            unanswered = None
            if monotonic() > give_up:
                # A process that was suspended must learn whether its lease was taken over meanwhile.
                refusal = (await make_plan(view, environment, intent)).refusal
                if refusal is not None:
                    raise refusal from None
                raise
        except ConsulUnavailable:
            if monotonic() > give_up:
                raise
        else:
            return planned
        await asyncio.sleep(_PAUSE)


async def make_plan(view: SharedView, environment: str, intent: Intent) -> Plan:
    """Read the basis of a write, and decide; nothing is written."""
    freeze, freeze_fence = await fence_freeze(view, environment)
    journal = await read_journal(view, environment) if intent.needs_good else []
    plans: dict[str, TierPlan] = {}
    refusals: list[WriteRefused] = []
    for tier in intent.tiers:
        basis = await _read_basis(view, environment, tier, intent, journal)
        decision = intent.plan_tier(tier, basis)
        plans[tier] = TierPlan(basis, decision)
        if isinstance(decision, Refused):
            refusals.append(_refusal(f"{environment}/{tier}", decision))
    fences: list[Operation] = []
    try:
        fences = await _fence_lease(view, environment, intent, plans)
    except (EnvironmentLeased, LeaseLost) as error:
        # Where nothing is steered, the lease is not what is in the way.
        refusals.insert(len(refusals) if intent.is_steering else 0, error)
    frozen = _find_frozen(freeze, plans)
    if frozen and not intent.despite_freeze:
        refusals.append(TierFrozen("; ".join(f"{environment}/{tier}: {each}" for tier, each in frozen.items())))
    if refusals:
        return Plan(plans, refusals[0])
    entries = _tell(intent, plans, frozen)
    appends, prunes = await make_appends(view, environment, entries) if entries else ([], [])
    operations = make_transaction(
        view.keys,
        environment,
        [*fences, freeze_fence],
        plans,
        journal=appends,
        prunes=prunes,
        history_kept=view.history_kept,
    )
    return Plan(plans, operations=operations)


async def _fence_lease(
    view: SharedView, environment: str, intent: Intent, plans: Mapping[str, TierPlan]
) -> list[Operation]:
    runs = [find_rollout(each.basis) for each in plans.values()] if intent.is_steering else []
    steered = [DagRun.of(run) for run in runs if run is not None]
    path, dag_run = _tier_path(environment, intent), DagRun.of(intent.writer)
    return await fence_writes(view, environment, dag_run, tier_path=path, steered=steered)


def _find_frozen(freeze: Freeze, plans: Mapping[str, TierPlan]) -> dict[str, str]:
    """By tier, what keeps a tier frozen that the plans would move."""
    now, found = datetime.now(UTC), {}
    for tier, each in plans.items():
        if isinstance(each.decision, Write) and each.decision.assigns and (entry := freeze.find(tier, now=now)):
            found[tier] = entry.describe()
    return found


def _tell(intent: Intent, plans: Mapping[str, TierPlan], frozen: Mapping[str, str]) -> list[JournalEntry]:
    """The entries of the journal: one for each act, and for each part of a tier."""
    despite = f"despite the freeze ({'; '.join(frozen.values())})" if frozen else ""
    reason = ": ".join(each for each in (despite, intent.reason) if each)
    moved: dict[tuple[JournalAct, JournalWave | None], dict[str, Assignment]] = {}
    for tier, each in plans.items():
        if isinstance(each.decision, Write) and (each.decision.assigns or each.decision.is_paced):
            about = each.decision.act, intent.waves.get(tier)
            moved.setdefault(about, {})[tier] = each.decision.assignment
    now = now_written()
    return [JournalEntry(now, intent.writer, act, tiers, wave, reason) for (act, wave), tiers in moved.items()]


def _refusal(tier_path: str, refused: Refused) -> WriteRefused:
    kind = RolloutAborted if refused.is_aborted else StaleWrite if refused.is_stale else WriteRefused
    return kind(f"{tier_path}: {refused.reason}")


async def _read_basis(
    view: SharedView, environment: str, tier: str, intent: Intent, journal: Sequence[JournalEntry]
) -> Basis:
    key, histories = view.keys.desired(environment, tier), view.keys.histories(environment, tier)
    entry = await view.client.get(key)
    try:
        current = DesiredState.from_json(key, entry.value) if entry else None
    except MalformedDocument as error:
        raise error.advise(f"put back the newest document below {histories}") from error
    _, names = await view.client.names(histories)
    numbers = (parse_number(name.removeprefix(histories)) for name in names)
    selector = intent.selectors.get(tier)
    return Basis(
        current,
        written_at=write_moment(datetime.now(UTC)),
        new_id=token_hex(_ID_BYTES),
        modify_index=entry.modify_index if entry else 0,
        generations=sorted(number for number in numbers if number is not None),
        history=await view.history(environment, tier) if intent.needs_history else {},
        members=await read_members(view.client, selector) if selector is not None else {},
        good=frozenset(find_good(journal, tier)),
        by_name=isinstance(selector, ListedMembers),  # other nodes may read the same desired state
    )


async def _has_written(view: SharedView, environment: str, planned: Plan) -> bool:
    """Whether a transaction whose answer was lost took effect.

    The history shows a new generation, even if others wrote since; any other write shows only in the desired state.
    """
    for tier, decision in planned.decisions.items():
        if isinstance(decision, Write):
            key = view.keys.desired(environment, tier)
            if decision.is_new:
                key = view.keys.history(environment, tier, decision.generation)
            entry = await view.client.get(key)
            return entry is not None and entry.value == decision.desired.to_json().encode()
    return False


def _tier_path(environment: str, intent: Intent) -> str:
    return f"{environment}/{', '.join(intent.tiers)}"
