"""Removing a tier and all its keys, in transactions that fail when another writer interferes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.fence import fence_free
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.consul.keys import KINDS
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, TransactionConflict, WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_AT_ONCE = LONGEST_TRANSACTION - 3  # keys, besides the lease check, and the check and removal of the desired state
_ROUNDS = 5  # each also removes what nodes wrote during the one before
_PAUSE = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class FoundTier:
    """A tier's keys as they were found.

    :param keys: in the order of removal: the desired state first, so that nodes stop; the newest generation last, so
        that a write in between cannot reuse its number.
    :param modify_index: of the desired state; 0 without one.
    """

    environment: str
    tier: str
    keys: Sequence[str]
    modify_index: int


async def find_tier(view: SharedView, environment: str, tier: str) -> FoundTier:
    """List a tier's keys; an unknown tier has none.

    :raises AccessDenied: the token may not read all of it.
    """
    desired = await view.client.get(view.keys.desired(environment, tier))
    keys = await _list(view, environment, tier)
    return FoundTier(environment, tier, keys, desired.modify_index if desired else 0)


async def forget(view: SharedView, found: FoundTier, *, patience: timedelta) -> Counter[str]:
    """Remove a tier: its desired state, reports, locks, tickets, marks of tasks done, and history.

    :param patience: how long to retry while Consul is unavailable.
    :returns: by kind, how many keys were removed.
    :raises EnvironmentLeased: a Dag run holds the environment.
    :raises WriteRefused: the tier was declared in the meantime.
    :raises ConsulUnavailable: Consul stayed unavailable; part may be removed, and the next call removes the rest.
    """
    give_up = monotonic() + patience.total_seconds()
    seen: dict[str, None] = dict.fromkeys(found.keys)
    left = found.keys
    for _ in range(_ROUNDS):
        for begin in range(0, len(left), _AT_ONCE):
            await _delete(view, found, left[begin : begin + _AT_ONCE], give_up)
        left = await _list(view, found.environment, found.tier)
        seen |= dict.fromkeys(left)
        if not left:
            break
    return Counter(view.keys.kind(found.environment, found.tier, key) for key in seen.keys() - set(left))


async def _list(view: SharedView, environment: str, tier: str) -> list[str]:
    """The tier's keys in the order of :class:`FoundTier`."""
    found: list[str] = []
    for prefix in (view.keys.tier(environment, tier), view.keys.histories(environment, tier)):
        await view.client.get(prefix)  # a list hides what the token may not read; a single key raises
        found += sorted((await view.client.names(prefix))[1])
    return sorted(found, key=lambda key: KINDS.index(view.keys.kind(environment, tier, key)))


async def _delete(view: SharedView, found: FoundTier, keys: Sequence[str], give_up: float) -> None:
    """Delete keys in one transaction, unless the environment is held or the tier was declared again."""
    desired = view.keys.desired(found.environment, found.tier)
    deletions = [Operation.delete(key) for key in keys if key != desired]
    while True:
        try:
            await view.client.transact([*await _fence(view, found), *deletions])
        except TransactionConflict:
            if monotonic() > give_up:
                raise
        except ConsulUnavailable:  # the answer may be lost; deleting twice does no harm
            if monotonic() > give_up:
                raise
        else:
            return
        await asyncio.sleep(_PAUSE)


async def _fence(view: SharedView, found: FoundTier) -> list[Operation]:
    tier_path = f"{found.environment}/{found.tier}"
    is_free = await fence_free(view, found.environment, tier_path=tier_path)
    desired = view.keys.desired(found.environment, found.tier)
    entry = await view.client.get(desired)
    if entry is None:
        return [is_free, Operation.check_absent(desired)]
    if entry.modify_index != found.modify_index:
        raise WriteRefused(f"{tier_path} was declared in the meantime, so it was not forgotten; check it again")
    return [is_free, *Operation.check_and_delete(desired, found.modify_index)]
