"""Acquiring the lease of an environment: one Dag run at a time, by check-and-set on one key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.consul.lease import FoundLease
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, LeaseObservation
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.acquisition import (
    LeaseRequest,
    Renew,
    Take,
    TakeOver,
    WaitFor,
    plan_acquisition,
)
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, TransactionConflict

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_PAUSE = 0.2  # seconds, after another writer was faster
_BACKOFF = 1.0  # seconds, when Consul is unavailable
_AWAY = "Consul is unavailable"
_LOOK = 10.0  # seconds that a query for another's lease may block; far below the shortest ttl
_SLACK = 5.0  # seconds; a query that overran by more than this found Consul unavailable meanwhile


async def acquire(
    view: SharedView,
    environment: str,
    holder: DagRun,
    *,
    ttl: timedelta,
    reason: str,
    until: datetime,
    by: Writer | None = None,
    on_progress: Callable[[str], None] = log.info,
    on_takeover: Callable[[], None] = lambda: None,
) -> bool:
    """Acquire the environment's lease as soon as it is free or has expired; renew one that the holder has already.

    A lease expires when, as watched from here, it was not renewed for its ttl. Consul refuses the old holder's later
    writes, since their transactions name the old lease. While Consul is unavailable no holder can renew, so the ttl
    starts over when it is back.

    :param until: when to give up; timezone-aware.
    :param by: who acquires it, for the journal; None tells it nothing.
    :param on_progress: called with a line of text when the holder changes or Consul becomes unavailable.
    :param on_takeover: called when another holder's lease has been taken over.
    :returns: whether the holder has the lease now.
    :raises MalformedDocument: the key holds something other than a lease, which is not replaced.
    :raises ConsulUnavailable: Consul was unavailable at the start, or still at ``until``.
    """
    request = LeaseRequest(holder, ttl, reason)
    observation: LeaseObservation | None = None
    last = ""  # what the last line was about
    index, patience = 0, 0.0
    while True:
        began = monotonic()
        try:
            index, entry = await view.client.look(
                view.keys.lease(environment), index=index, wait=timedelta(seconds=patience)
            )
        except ConsulUnavailable as error:
            if not last or datetime.now(UTC) >= until:
                raise
            if last != (last := _AWAY):
                on_progress(f"{environment}: {error}; trying again until {until.isoformat(timespec='seconds')}")
            observation, index, patience = None, 0, 0.0
            await asyncio.sleep(_BACKOFF)
            continue
        now = monotonic()
        found = FoundLease.of(entry)
        lease, remaining = None, 0.0
        if found is not None:
            lease = found.lease
            was_away = now - began > patience * 17 / 16 + _SLACK
            observation = (observation or LeaseObservation(found.modify_index, now)).observe(
                found.modify_index, now=now, is_interrupted=was_away
            )
            remaining = observation.remaining(lease, now=now)
        match plan_acquisition(lease, request, remaining=remaining, now=datetime.now(UTC)):
            case WaitFor(other):
                if last != (last := other.describe()):
                    on_progress(f"{environment}: waiting, {last}")
            case act:
                if isinstance(act, TakeOver):
                    expired = f"the lease {act.expired.describe()} was not renewed for {act.expired.ttl}"
                    on_progress(f"{environment}: {expired}; taking over")
                try:
                    if await _put(view, environment, act, found, by, on_takeover=on_takeover):
                        return True
                except ConsulUnavailable:
                    observation = None  # the lease may have been written nevertheless: look again
                await asyncio.sleep(_PAUSE)
                index = 0
        left = (until - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return False
        patience = min(left, _LOOK, max(remaining, 0.1)) if index else 0.0


async def _put(
    view: SharedView,
    environment: str,
    act: Take | Renew | TakeOver,
    found: FoundLease | None,
    by: Writer | None,
    *,
    on_takeover: Callable[[], None],
) -> bool:
    """Replace the lease that was found; False when it has changed since.

    A takeover marks the old holder, so that its writes are refused even after the lease was released, until it acquires
    one itself.
    """
    document, holder = act.lease.to_json(), act.lease.holder
    operations = [
        Operation.check_and_set(view.keys.lease(environment), document, found.modify_index if found else 0),
        Operation.delete(view.keys.lost_lease(environment, holder.dag_id, holder.run_id)),
    ]
    if isinstance(act, TakeOver):
        loser = act.expired.holder
        operations.append(Operation.set_key(view.keys.lost_lease(environment, loser.dag_id, loser.run_id), document))
    try:
        if by is None or isinstance(act, Renew):
            await view.client.transact(operations)
        else:
            from_whom = f"taken over, it was {act.expired.describe()}" if isinstance(act, TakeOver) else ""
            why = "; ".join(each for each in (from_whom, act.lease.reason) if each)
            entry = JournalEntry(now_written(), by, JournalAct.LEASE_TAKEN, reason=why)
            await append(view, environment, entry, *operations)
    except TransactionConflict:
        return False
    if isinstance(act, TakeOver):
        on_takeover()
    return True
