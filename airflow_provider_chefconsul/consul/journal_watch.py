"""Watching an environment's freeze and its journal: one connection, each entry read once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.freeze import read_freeze
from airflow_provider_chefconsul.consul.journal import parse_entry
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_REST = 0.1  # seconds
_REST_IF_EMPTY = 1.0  # seconds; every write in the datacenter wakes a query on an empty prefix
_LOOK = timedelta(seconds=10)  # a freeze whose key somebody deleted by hand shows after that
_READ_APART = 4  # entries; more are read with all others at once


@dataclass(frozen=True, slots=True)
class JournalState:
    """What was done to an environment, and what nobody may do.

    :param entries: of the journal, oldest first; unreadable ones are left out.
    """

    freeze: Freeze | Unreadable
    entries: tuple[JournalEntry, ...]


async def watch_journal(view: SharedView, environment: str) -> AsyncGenerator[JournalState]:
    """Yield the freeze and the journal now and after each change.

    The journal tells of every freeze in the transaction that makes it, so watching the journal watches both.

    :raises ConsulUnavailable: Consul stayed unavailable for longer than the client's patience.
    """
    prefix = view.keys.journal(environment)
    known: dict[str, JournalEntry | None] = {}
    state: JournalState | None = None
    index = 0
    while True:
        index, found = await view.client.names(prefix, index=index, wait=_LOOK)
        names = sorted(found)
        known = {name: known[name] for name in names if name in known}
        unknown = [name for name in names if name not in known]
        if len(unknown) > _READ_APART:
            known = {each.key: parse_entry(each) for each in (await view.client.tree(prefix))[1]}
        else:
            for name in unknown:
                if (entry := await view.client.get(name)) is not None:
                    known[name] = parse_entry(entry)
        entries = tuple(entry for _, entry in sorted(known.items()) if entry is not None)
        if state != (state := JournalState(await read_freeze(view, environment), entries)):
            yield state
        await asyncio.sleep(_REST if names else _REST_IF_EMPTY)
