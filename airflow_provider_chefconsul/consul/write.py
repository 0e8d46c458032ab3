"""Writing desired states: what to write, and what the write is to the journal. How it is made is in ``commit.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.commit import Intent, commit, make_plan
from airflow_provider_chefconsul.domain.model.membership import Selector, ServiceMembers
from airflow_provider_chefconsul.domain.write.act import find_wave, plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion, plan_abort, plan_promotion

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.plan import Plan
    from airflow_provider_chefconsul.consul.view import SharedView


async def write(
    view: SharedView, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
) -> Plan:
    """Write the desired states of one or more tiers in one transaction.

    Retries while Consul is unavailable, for at most the view's patience.

    :param changes: by tier.
    :param selectors: by tier, its members, for changes that depend on them; default: the service named like the tier.
    :returns: what was done; others may have written since.
    :raises StaleWrite: a write of a later logical time was made; nothing was written.
    :raises EnvironmentLeased: another Dag run holds the environment; nothing was written.
    :raises LeaseLost: the lease of this Dag run was taken over; nothing was written.
    :raises TierFrozen: somebody froze a tier; nothing was written.
    :raises RolloutAborted: the change belongs to a rollout that was aborted; nothing was written.
    :raises WriteRefused: a change is not allowed from its tier's current state; nothing was written.
    :raises MalformedDocument: a desired state cannot be read, so it is not replaced; nothing was written.
    :raises RequestTooLarge: more tiers or values than fit in one transaction; nothing was written.
    """
    return await commit(view, environment, _intend_changes(changes, selectors))


async def plan(
    view: SharedView, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
) -> Plan:
    """What :func:`write` would do now; nothing is written.

    :raises MalformedDocument: a desired state cannot be read.
    :raises RequestTooLarge: more tiers than fit in one transaction.
    """
    return await make_plan(view, environment, _intend_changes(changes, selectors))


async def steer(
    view: SharedView, environment: str, tiers: Iterable[str], request: RollBack | Promotion | Abort
) -> Plan:
    """Roll tiers back, promote their canaries or abort their rollouts in one transaction; otherwise like :func:`write`.

    Promoting and aborting may be done while the Dag run of the rollout holds the environment.

    :returns: what was done, with the generations that nodes have then.
    """
    return await commit(view, environment, _intend_steering(tiers, request))


async def plan_steering(
    view: SharedView, environment: str, tiers: Iterable[str], request: RollBack | Promotion | Abort
) -> Plan:
    """What :func:`steer` would do now; nothing is written."""
    return await make_plan(view, environment, _intend_steering(tiers, request))


def _intend_changes(changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None) -> Intent:
    given = selectors or {}
    return Intent(
        next(iter(changes.values())).writer,
        list(changes),
        lambda tier, basis: plan_write(basis, changes[tier]),
        {tier: given.get(tier, ServiceMembers(tier)) for tier, change in changes.items() if change.needs_members},
        waves={tier: wave for tier, change in changes.items() if (wave := find_wave(change)) is not None},
    )


def _intend_steering(tiers: Iterable[str], request: RollBack | Promotion | Abort) -> Intent:
    intent = Intent(request.writer, list(tiers), _planner(request), needs_history=True, reason=request.reason)
    if isinstance(request, RollBack):
        return replace(intent, needs_good=request.to == "last_good", despite_freeze=request.despite_freeze)
    # A rollout that is paused by a freeze can be called off without letting its next wave out.
    return replace(intent, is_steering=True, despite_freeze=isinstance(request, Abort))


def _planner(request: RollBack | Promotion | Abort) -> Callable[[str, Basis], Decision]:
    match request:
        case RollBack():
            return lambda _tier, basis: plan_rollback(basis, request)
        case Promotion():
            return lambda _tier, basis: plan_promotion(basis, request)
        case Abort():
            return lambda _tier, basis: plan_abort(basis, request)
