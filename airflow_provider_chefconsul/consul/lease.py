"""The lease of an environment: found, kept, released and broken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable, TransactionConflict, WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.entry import Entry
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_BACKOFF = 1.0  # seconds, when Consul is unavailable
_PATIENCE = 60.0  # seconds to retry a release
_RENEWALS = 3  # within a ttl


@dataclass(frozen=True, slots=True)
class FoundLease:
    """A lease in Consul, and its ModifyIndex."""

    lease: Lease
    modify_index: int

    @classmethod
    def of(cls, entry: Entry | None) -> FoundLease | None:
        """What the lease's key holds; None for no key.

        :raises MalformedDocument: something other than a lease.
        """
        return None if entry is None else cls(Lease.from_json(entry.key, entry.value), entry.modify_index)


async def find_lease(view: SharedView, environment: str) -> FoundLease | None:
    """The lease of an environment; None without one.

    :raises MalformedDocument: the key holds something other than a lease.
    """
    return FoundLease.of(await view.client.get(view.keys.lease(environment)))


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
            *Operation.check_and_delete(view.keys.lease(environment), found.modify_index),
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
