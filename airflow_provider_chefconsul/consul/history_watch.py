"""Watching the histories of an environment's tiers: one connection, each document read once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.event.change_event import Histories
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.exceptions import MalformedDocument

_REST = 0.1  # seconds; an empty prefix is woken by every write of the datacenter
_READ_AT_ONCE = 16  # documents


async def watch_histories(view: SharedView, environment: str) -> AsyncGenerator[Histories]:
    """The histories as they are now, and again after each change; unreadable documents are left out.

    :raises ConsulUnavailable: Consul stayed away for longer than the client's patience.
    :raises AccessDenied: the token may not read them; never taken for an environment without tiers.
    """
    prefix = view.keys.all_histories(environment)
    known: dict[str, DesiredState] = {}
    index = 0
    while True:
        index, present = await _list(view, prefix, index)
        known = {name: desired for name, desired in known.items() if name in present}
        gate = asyncio.Semaphore(_READ_AT_ONCE)
        unknown = sorted(present - known.keys())
        await gather_all(*(asyncio.create_task(_read(view, name, known, gate)) for name in unknown))
        histories: dict[str, dict[int, DesiredState]] = {}
        for name, desired in known.items():
            tier, _, generation = name.removeprefix(prefix).partition("/")
            histories.setdefault(tier, {})[int(generation)] = desired
        yield histories
        await asyncio.sleep(_REST)


async def list_declared_tiers(view: SharedView, environment: str, index: int = 0) -> tuple[int, list[str]]:
    """The tiers that were ever declared, and Consul's index; with ``index``, as soon as that may have changed."""
    prefix = view.keys.all_histories(environment)
    index, present = await _list(view, prefix, index)
    return index, sorted({name.removeprefix(prefix).partition("/")[0] for name in present})


async def _list(view: SharedView, prefix: str, index: int) -> tuple[int, set[str]]:
    index, names = await view.client.names(prefix, index=index)
    if not names:  # a list leaves out what the token may not read; a single key says so
        await view.client.get(prefix)
    return index, {name for name in names if _is_entry(name.removeprefix(prefix))}


async def _read(view: SharedView, name: str, known: dict[str, DesiredState], gate: asyncio.Semaphore) -> None:
    async with gate:
        entry = await view.client.get(name)
    if entry is not None:
        try:
            known[name] = DesiredState.from_json(name, entry.value)
        except MalformedDocument:
            return  # its absence shows as a gap in the generations


def _is_entry(rest: str) -> bool:
    tier, _, generation = rest.partition("/")
    return is_name(tier) and parse_number(generation) is not None
