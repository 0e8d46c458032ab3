"""Holding an environment: one Dag run at a time, by check-and-set on one key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease, LeaseObservation
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable, TransactionConflict, WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import Entry
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_PAUSE = 0.2  # seconds, after somebody else was faster
_BACKOFF = 1.0  # seconds, when Consul is unavailable
_PATIENCE = 60.0  # seconds, for giving a lease up
_AWAY = "Consul is away"
_LOOK = 10.0  # seconds that a look at somebody else's lease may block, far below the shortest ttl
_SLACK = 5.0  # seconds; a look that took longer than it may, and these, was not answered by a Consul that was there
_RENEWALS = 3  # within a ttl


async def acquire(
    view: SharedView,
    environment: str,
    holder: DagRun,
    *,
    ttl: timedelta,
    reason: str,
    until: datetime,
    on_progress: Callable[[str], None] = log.info,
) -> bool:
    """Hold the environment as soon as nobody else does.

    A lease that its holder has not renewed for its ttl, as watched from here, is taken over; what the old holder writes
    after that is refused by Consul, since its transaction names a lease that is no longer there. While Consul is away
    no holder can renew, so the ttl counts anew when it is back.

    :param until: aware; when to give up.
    :param on_progress: called with a line whenever who holds the environment has changed, or Consul is away.
    :returns: whether the holder has it now; an own lease is renewed.
    :raises MalformedDocument: the key holds something else than a lease; it is not replaced.
    :raises ConsulUnavailable: Consul has not been seen yet, or was still away when it was time to give up.
    """
    sighting: LeaseObservation | None = None
    told = ""
    index, patience = 0, 0.0
    while True:
        began = monotonic()
        try:
            index, entry = await view.client.look(
                view.keys.lease(environment), index=index, wait=timedelta(seconds=patience)
            )
        except ConsulUnavailable as error:
            if not told or datetime.now(UTC) >= until:
                raise
            if told != (told := _AWAY):
                on_progress(f"{environment}: {error}; trying again until {until.isoformat(timespec='seconds')}")
            sighting, index, patience = None, 0, 0.0
            await asyncio.sleep(_BACKOFF)
            continue
        now = monotonic()
        lease = Lease.from_json(entry.key, entry.value) if entry else None
        if entry is not None:
            was_away = now - began > patience * 17 / 16 + _SLACK
            sighting = (sighting or LeaseObservation(entry.modify_index, now)).observe(
                entry.modify_index, now=now, is_interrupted=was_away
            )
        remaining = sighting.remaining(lease, now=now) if lease and sighting else 0.0
        if lease is None or lease.holder == holder or remaining <= 0:
            if lease is not None and lease.holder != holder:
                on_progress(f"{environment}: the lease {lease.describe()} was not renewed for {lease.ttl}; taking over")
            try:
                if await _write(view, environment, holder, lease, entry, ttl=ttl, reason=reason):
                    return True
            except ConsulUnavailable:
                sighting = None  # it was away, or the answer is lost: look again
            await asyncio.sleep(_PAUSE)
            index = 0
        elif told != (told := lease.describe()):
            on_progress(f"{environment}: waiting, {told}")
        left = (until - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return False
        patience = min(left, _LOOK, max(remaining, 0.1)) if index else 0.0


async def release(view: SharedView, environment: str, holder: DagRun) -> bool:
    """Give the environment up; False when the holder does not have it, and nothing was done.

    :raises ConsulUnavailable: Consul refused for a minute to delete the key.
    """
    key = view.keys.lease(environment)
    give_up = monotonic() + _PATIENCE
    has_tried = False
    while True:
        entry = await view.client.get(key)
        if entry is None or Lease.from_json(key, entry.value).holder != holder:
            # A delete whose answer was lost has done it, unless somebody took the lease over, which leaves a mark.
            lost = view.keys.lost_lease(environment, holder.dag_id, holder.run_id)
            return has_tried and await view.client.get(lost) is None
        try:
            if await view.client.delete(key, modify_index=entry.modify_index):
                return True
        except ConsulUnavailable:
            if monotonic() > give_up:
                raise
            has_tried = True
            await asyncio.sleep(_BACKOFF)


@dataclass(frozen=True, slots=True)
class FoundLease:
    """A lease that stands, and the ModifyIndex at which it was seen."""

    lease: Lease
    modify_index: int


async def find_lease(view: SharedView, environment: str) -> FoundLease | None:
    """The lease that stands on an environment.

    :raises MalformedDocument: the key holds something else than a lease.
    """
    key = view.keys.lease(environment)
    entry = await view.client.get(key)
    return FoundLease(Lease.from_json(key, entry.value), entry.modify_index) if entry else None


async def break_lease(view: SharedView, environment: str, found: FoundLease, breaker: DagRun, *, reason: str) -> None:
    """Free an environment from its holder, whose writes stay refused until it acquires the lease again.

    :param breaker: who does it, for the holder to be told.
    :raises WriteRefused: the lease is not as it was found: it was renewed, so its holder lives, or has changed hands.
    :raises ConsulUnavailable: Consul is away, and nothing says that the lease was broken.
    """
    holder = found.lease.holder
    told = Lease.begin(breaker, found.lease.ttl, reason, now=datetime.now(UTC)).to_json().encode()
    lost = view.keys.lost_lease(environment, holder.dag_id, holder.run_id)
    try:
        await view.client.transact(
            [
                {"Verb": "delete-cas", "Key": view.keys.lease(environment), "Index": found.modify_index},
                {"Verb": "set", "Key": lost, "Value": told},
            ]
        )
    except TransactionConflict as error:
        raise WriteRefused(
            f"{environment}: the lease of {holder} was renewed, given up or taken over meanwhile; look again"
        ) from error
    except ConsulUnavailable:  # the answer may be lost: the mark says what became of it
        mark = await view.client.get(lost)
        if mark is None or mark.value != told:
            raise


@asynccontextmanager
async def keeping(view: SharedView, environment: str, holder: DagRun | None) -> AsyncGenerator[None]:
    """Renew the holder's lease for as long as the block runs; does nothing where the holder has none."""
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
    key = view.keys.lease(environment)
    while True:
        try:
            entry = await view.client.get(key)
            lease = Lease.from_json(key, entry.value) if entry else None
            if entry is None or lease is None:
                return
            if lease.holder != holder:
                return  # it was taken over; the next write of this Dag run is refused and says by whom
            renewed = lease.renew(now=datetime.now(UTC)).to_json()
            if await view.client.put(key, renewed, modify_index=entry.modify_index):
                await asyncio.sleep(lease.ttl.total_seconds() / _RENEWALS)
        except ConsulError as error:
            log.debug("%s: the lease was not renewed: %s", environment, error)
            await asyncio.sleep(_BACKOFF)


async def _write(
    view: SharedView,
    environment: str,
    holder: DagRun,
    lease: Lease | None,
    entry: Entry | None,
    *,
    ttl: timedelta,
    reason: str,
) -> bool:
    """Put a lease in the place of the one that was seen; False when that has changed.

    A holder whose lease is taken over is marked: its writes are refused even after the lease was given up again, until
    it acquires one itself.
    """
    now = datetime.now(UTC)
    if lease is not None and lease.holder == holder and lease.ttl == ttl:
        wanted = lease.renew(now=now)
    else:
        wanted = Lease.begin(holder, ttl, reason, now=now)
    document = wanted.to_json().encode()
    operations: list[Mapping[str, Any]] = [
        {
            "Verb": "cas",
            "Key": view.keys.lease(environment),
            "Value": document,
            "Index": entry.modify_index if entry else 0,
        },
        {"Verb": "delete", "Key": view.keys.lost_lease(environment, holder.dag_id, holder.run_id)},
    ]
    if lease is not None and lease.holder != holder:
        lost = view.keys.lost_lease(environment, lease.holder.dag_id, lease.holder.run_id)
        operations.append({"Verb": "set", "Key": lost, "Value": document})
    try:
        await view.client.transact(operations)
    except TransactionConflict:
        return False
    return True
