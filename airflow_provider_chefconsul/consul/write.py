"""Writing desired states: read the basis of a plan, decide, and write in one transaction that checks the basis.

Every write names the ModifyIndex that it replaces; when another writer was faster, it is planned again. While there is
a lease, only its holder may write, and renews it in the same transaction; otherwise the transaction checks that there
is still none. When an answer is lost, the stored documents tell whether the write was made, so it is not made twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.fence import fence_writes
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.plan import Plan, TierPlan, make_transaction
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import DesiredState, Writer
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector, ServiceMembers
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Write
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from airflow_provider_chefconsul.exceptions import (
    ConsulUnavailable,
    EnvironmentLeased,
    LeaseLost,
    MalformedDocument,
    RequestTooLarge,
    StaleWrite,
    TransactionConflict,
    WriteRefused,
)

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_PAUSE = 0.1  # seconds
_ID_BYTES = 8  # of an assignment's id


async def write(
    view: SharedView, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
) -> Plan:
    """Write the desired states of one or more tiers in one transaction.

    Retries while Consul is unavailable, for at most the view's patience.

    :param changes: by tier.
    :param selectors: by tier, its members, for changes with a canary; default: the service named like the tier.
    :returns: what was done; others may have written since.
    :raises StaleWrite: a write of a later logical time was made; nothing was written.
    :raises EnvironmentLeased: another Dag run holds the environment; nothing was written.
    :raises LeaseLost: the lease of this Dag run was taken over; nothing was written.
    :raises WriteRefused: a change is not allowed from its tier's current state; nothing was written.
    :raises MalformedDocument: a desired state cannot be read, so it is not replaced; nothing was written.
    :raises RequestTooLarge: more tiers or values than fit in one transaction; nothing was written.
    """
    return await _commit(view, environment, _intend_changes(changes, selectors))


async def plan(
    view: SharedView, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
) -> Plan:
    """What :func:`write` would do now; nothing is written.

    :raises MalformedDocument: a desired state cannot be read.
    :raises RequestTooLarge: more tiers than fit in one transaction.
    """
    return await _plan(view, environment, _intend_changes(changes, selectors))


async def roll_back(view: SharedView, environment: str, tiers: Iterable[str], rollback: RollBack) -> Plan:
    """Roll one or more tiers back in one transaction; otherwise like :func:`write`.

    :returns: what was done, with the generations that nodes go back to.
    """
    intent = _Intent(
        rollback.writer, list(tiers), lambda _tier, basis: plan_rollback(basis, rollback), needs_history=True
    )
    return await _commit(view, environment, intent)


@dataclass(frozen=True, slots=True)
class _Intent:
    """A requested write.

    :param plan_tier: decides for a tier on its basis; called again when another writer was faster.
    :param selectors: by tier, its members, where the decision needs them.
    """

    writer: Writer
    tiers: Sequence[str]
    plan_tier: Callable[[str, Basis], Decision]
    selectors: Mapping[str, Selector] = field(default_factory=dict)
    needs_history: bool = False


def _intend_changes(changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None) -> _Intent:
    given = selectors or {}
    return _Intent(
        next(iter(changes.values())).writer,
        list(changes),
        lambda tier, basis: plan_write(basis, changes[tier]),
        {tier: given.get(tier, ServiceMembers(tier)) for tier, change in changes.items() if change.canary is not None},
    )


async def _commit(view: SharedView, environment: str, intent: _Intent) -> Plan:
    """Plan and write until Consul accepts the transaction."""
    give_up = monotonic() + view.patience.total_seconds()
    unanswered: Plan | None = None
    while True:
        try:
            if unanswered is not None and await _has_written(view, environment, unanswered):
                return unanswered
            unanswered = None
            planned = await _plan(view, environment, intent)
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
                refusal = (await _plan(view, environment, intent)).refusal
                if refusal is not None:
                    raise refusal from None
                raise
        except ConsulUnavailable:
            if monotonic() > give_up:
                raise
        else:
            return planned
        await asyncio.sleep(_PAUSE)


async def _plan(view: SharedView, environment: str, intent: _Intent) -> Plan:
    fences: list[Operation] = []
    refusals: list[WriteRefused] = []
    try:
        # Before the tiers: if the lease changes hands after this, the transaction fails.
        path, dag_run = _tier_path(environment, intent), DagRun.of(intent.writer)
        fences = await fence_writes(view, environment, dag_run, tier_path=path)
    except (EnvironmentLeased, LeaseLost) as error:
        refusals.append(error)
    plans: dict[str, TierPlan] = {}
    for tier in intent.tiers:
        basis = await _read_basis(view, environment, tier, intent)
        decision = intent.plan_tier(tier, basis)
        plans[tier] = TierPlan(basis, decision)
        if isinstance(decision, Refused):
            kind = StaleWrite if decision.is_stale else WriteRefused
            refusals.append(kind(f"{environment}/{tier}: {decision.reason}"))
    if refusals:
        return Plan(plans, refusals[0])
    return Plan(plans, operations=make_transaction(view.keys, environment, fences, plans))


async def _read_basis(view: SharedView, environment: str, tier: str, intent: _Intent) -> Basis:
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


def _tier_path(environment: str, intent: _Intent) -> str:
    return f"{environment}/{', '.join(intent.tiers)}"
