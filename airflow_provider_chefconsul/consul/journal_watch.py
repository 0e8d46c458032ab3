"""Watching an environment's freeze and the end of its journal: one connection, each entry read once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_REST = 0.1  # seconds
_REST_IF_EMPTY = 1.0  # seconds; every write in the datacenter wakes a query on an empty prefix
_LOOK = timedelta(seconds=10)  # a freeze whose key somebody deleted by hand shows after that
_READ_AT_ONCE = 16  # documents


@dataclass(frozen=True, slots=True)
class JournalState:
    """What was done to an environment, and what nobody may do.

    :param entries: the newest of the journal, oldest first; unreadable ones are left out.
    """

    freeze: Freeze | Unreadable
    entries: tuple[JournalEntry, ...]


async def watch_journal(view: SharedView, environment: str, newest: int) -> AsyncGenerator[JournalState]:
    """Yield the freeze and the newest entries now and after each change.

    The journal tells of every freeze in the transaction that makes it, so watching the journal watches both.

    :raises ConsulUnavailable: Consul stayed unavailable for longer than the client's patience.
    """
    prefix = view.keys.journal(environment)
    known: dict[str, JournalEntry | None] = {}
    state: JournalState | None = None
    index = 0
    while True:
        index, found = await view.client.names(prefix, index=index, wait=_LOOK)
        names = sorted(found)[-newest:]
        known = {name: known[name] for name in names if name in known}
        gate = asyncio.Semaphore(_READ_AT_ONCE)
        unknown = [name for name in names if name not in known]
        await gather_all(*(asyncio.create_task(_read(view, name, known, gate)) for name in unknown))
        entries = tuple(entry for name in names if (entry := known[name]) is not None)
        if state != (state := JournalState(await _read_freeze(view, environment), entries)):
            yield state
        await asyncio.sleep(_REST if names else _REST_IF_EMPTY)


async def _read(view: SharedView, name: str, known: dict[str, JournalEntry | None], gate: asyncio.Semaphore) -> None:
    async with gate:
        entry = await view.client.get(name)
    try:
        known[name] = JournalEntry.from_json(name, entry.value) if entry is not None else None
    except MalformedDocument:
        known[name] = None


async def _read_freeze(view: SharedView, environment: str) -> Freeze | Unreadable:
    """The freeze, with entries that have ended: whoever looks knows the time."""
    entry = await view.client.get(view.keys.freeze(environment))
    try:
        return Freeze() if entry is None else Freeze.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Unreadable.of(error)
