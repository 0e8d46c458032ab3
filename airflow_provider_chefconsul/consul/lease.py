"""Holding an environment: one Dag run at a time, by check-and-set on one key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease, LeaseObservation
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.acquisition import (
    LeaseRequest,
    Renew,
    Take,
    TakeOver,
    WaitFor,
    plan_acquisition,
)
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable, TransactionConflict, WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.entry import Entry
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_PAUSE = 0.2  # seconds, after another writer was faster
_BACKOFF = 1.0  # seconds, when Consul is unavailable
_PATIENCE = 60.0  # seconds to retry a release
_AWAY = "Consul is unavailable"
_LOOK = 10.0  # seconds that a query for another's lease may block; far below the shortest ttl
_SLACK = 5.0  # seconds; a query that overran by more than this found Consul unavailable meanwhile
_RENEWALS = 3  # within a ttl


@dataclass(frozen=True, slots=True)
class FoundLease:
    """A lease in Consul, and its ModifyIndex."""

    lease: Lease
    modify_index: int


async def find_lease(view: SharedView, environment: str) -> FoundLease | None:
    """The lease of an environment; None without one.

    :raises MalformedDocument: the key holds something other than a lease.
    """
    return _read(await view.client.get(view.keys.lease(environment)))


def _read(entry: Entry | None) -> FoundLease | None:
    return None if entry is None else FoundLease(Lease.from_json(entry.key, entry.value), entry.modify_index)


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
        found = _read(entry)
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


async def release(view: SharedView, environment: str, holder: DagRun) -> bool:
    """Release the lease; False when the holder does not have it, and nothing was done.

    :raises ConsulUnavailable: Consul stayed unavailable for a minute.
    """
    give_up = monotonic() + _PATIENCE
    has_tried = False
    while True:
        found = await find_lease(view, environment)
        if found is None or found.lease.holder != holder:
            # A delete whose answer was lost has worked, unless the lease was taken over, which leaves a mark.
            lost = view.keys.lost_lease(environment, holder.dag_id, holder.run_id)
            return has_tried and await view.client.get(lost) is None
        try:
            if await view.client.delete(view.keys.lease(environment), modify_index=found.modify_index):
                return True
        except ConsulUnavailable:
            if monotonic() > give_up:
                raise
            has_tried = True
            await asyncio.sleep(_BACKOFF)


async def break_lease(view: SharedView, environment: str, found: FoundLease, breaker: Writer, *, reason: str) -> None:
    """Break a lease; its holder's writes are refused until it acquires the lease again.

    :param breaker: who breaks it; the holder's errors and the journal name them.
    :raises WriteRefused: the lease was renewed, so its holder is alive, or it has changed hands.
    :raises ConsulUnavailable: Consul is unavailable, and the lease is not known to be broken.
    """
    holder = found.lease.holder
    mark = Lease.begin(DagRun.of(breaker), found.lease.ttl, reason, now=datetime.now(UTC)).to_json()
    lost = view.keys.lost_lease(environment, holder.dag_id, holder.run_id)
    why = f"it was {found.lease.describe()}; {reason}"
    try:
        await append(
            view,
            environment,
            JournalEntry(now_written(), breaker, JournalAct.LEASE_BROKEN, reason=why),
            Operation.check_and_delete(view.keys.lease(environment), found.modify_index),
            Operation.set_key(lost, mark),
        )
    except TransactionConflict as error:
        raise WriteRefused(
            f"{environment}: the lease of {holder} was renewed, released or taken over in the meantime; check it again"
        ) from error
    except ConsulUnavailable:  # the answer may be lost; the mark tells whether the lease was broken
        entry = await view.client.get(lost)
        if entry is None or entry.value != mark.encode():
            raise


@asynccontextmanager
async def keeping(view: SharedView, environment: str, holder: DagRun | None) -> AsyncGenerator[None]:
    """Renew the holder's lease while the block runs; do nothing without a holder or a lease."""
    if holder is None:
        yield
        return
    renewing = asyncio.create_task(_keep(view, environment, holder))
    try:
        yield
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing


async def _keep(view: SharedView, environment: str, holder: DagRun) -> None:
    while True:
        try:
            found = await find_lease(view, environment)
            if found is None or found.lease.holder != holder:
                return  # if it was taken over, this Dag run's next write is refused and names the new holder
            renewed = found.lease.renew(now=datetime.now(UTC)).to_json()
            if await view.client.put(view.keys.lease(environment), renewed, modify_index=found.modify_index):
                await asyncio.sleep(found.lease.ttl.total_seconds() / _RENEWALS)
        except ConsulError as error:
            log.debug("%s: the lease was not renewed: %s", environment, error)
            await asyncio.sleep(_BACKOFF)
