"""Freezing tiers, so that Consul refuses every write that would move one, and ending that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, Freeze, FreezeEntry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, MalformedDocument, TransactionConflict

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_PAUSE = 0.1  # seconds
_BACKOFF = 1.0  # seconds, when Consul is unavailable
_SHORTEST_LOOK, _LONGEST_LOOK = timedelta(seconds=0.1), timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class FoundFreeze:
    """An environment's freeze, without entries that have ended; and the key's ModifyIndex, 0 when there is none."""

    freeze: Freeze
    modify_index: int


async def find_freeze(view: SharedView, environment: str) -> FoundFreeze:
    """The freeze of an environment.

    :raises MalformedDocument: the key holds something other than a freeze.
    """
    entry = await view.client.get(view.keys.freeze(environment))
    if entry is None:
        return FoundFreeze(Freeze(), 0)
    freeze = Freeze.from_json(entry.key, entry.value)
    return FoundFreeze(freeze.current(now=datetime.now(UTC)), entry.modify_index)


async def read_freeze(view: SharedView, environment: str) -> Freeze | Unreadable:
    """The freeze, with entries that have ended, since whoever looks knows the time; or why it cannot be read."""
    entry = await view.client.get(view.keys.freeze(environment))
    try:
        return Freeze() if entry is None else Freeze.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Unreadable.of(error)


async def freeze(view: SharedView, environment: str, names: Collection[str], entry: FreezeEntry) -> Freeze:
    """Freeze tiers: once this returns, Consul refuses every write that would move one.

    :param names: tiers, or ``"*"`` for all.
    :returns: the freeze as it is then.
    :raises MalformedDocument: the key holds something other than a freeze, which is not replaced.
    """
    return await _replace(
        view,
        environment,
        lambda now: now.with_entry(names, entry),
        lambda _: JournalEntry(
            now_written(), entry.by, JournalAct.FROZEN, reason=_describe(entry), scope=_scope(names)
        ),
    )


async def unfreeze(
    view: SharedView, environment: str, names: Collection[str] | None, by: Writer, *, reason: str = ""
) -> Freeze | None:
    """End the freeze of tiers.

    :param names: tiers, or ``"*"`` for what was frozen as a whole; None ends everything.
    :returns: what is still frozen; None when none of them was frozen, and nothing was done.
    :raises MalformedDocument: the key holds something other than a freeze, which is not replaced.
    """
    found = await find_freeze(view, environment)
    if not (found.freeze.entries if names is None else set(names) & found.freeze.entries.keys()):
        return None
    return await _replace(
        view,
        environment,
        lambda now: Freeze() if names is None else now.without(names),
        lambda before: JournalEntry(
            now_written(),
            by,
            JournalAct.UNFROZEN,
            reason=reason,
            scope=_scope(before.entries if names is None else names),
        ),
    )


async def wait_until_free(
    view: SharedView,
    environment: str,
    tiers: Collection[str],
    *,
    until: datetime | None = None,
    on_progress: Callable[[str], None] = log.info,
) -> bool | None:
    """Wait until none of the tiers is frozen.

    :param until: when to return even if one still is; timezone-aware.
    :param on_progress: called with a line of text that says who froze a tier, since when, until when and why, whenever
        that changes; and when Consul becomes unavailable.
    :returns: True; None when ``until`` came first.
    :raises MalformedDocument: the key holds something other than a freeze.
    """
    index, said = 0, ""
    frozen: dict[str, FreezeEntry] = {}
    while True:
        now = datetime.now(UTC)
        if until is not None and until <= now:
            return None
        ends = [end for each in frozen.values() if (end := read_moment(each.until)) is not None]
        left = max(_SHORTEST_LOOK, min([now + _LONGEST_LOOK, *ends, *([until] if until else [])]) - now)
        try:
            index, entry = await view.client.look(view.keys.freeze(environment), index=index, wait=left)
        except ConsulUnavailable as error:
            if said != (said := str(error)):
                on_progress(f"{environment}: {error}; trying again")
            index = 0
            await asyncio.sleep(_BACKOFF)
            continue
        found = Freeze() if entry is None else Freeze.from_json(entry.key, entry.value)
        frozen = {tier: each for tier in tiers if (each := found.find(tier, now=datetime.now(UTC)))}
        if not frozen:
            return True
        line = "; ".join(f"{environment}/{tier}: waiting, {each.describe()}" for tier, each in frozen.items())
        if said != (said := line):
            on_progress(line)


async def _replace(
    view: SharedView,
    environment: str,
    change: Callable[[Freeze], Freeze],
    tell: Callable[[Freeze], JournalEntry],
) -> Freeze:
    """Change the freeze and tell the journal, again while others are faster or Consul is unavailable."""
    key, give_up = view.keys.freeze(environment), monotonic() + view.patience.total_seconds()
    while True:
        found = await find_freeze(view, environment)
        after = change(found.freeze)
        if after == found.freeze:
            return after
        if after.entries:
            operations = [Operation.check_and_set(key, after.to_json(), found.modify_index)]
        else:
            operations = [*Operation.check_and_delete(key, found.modify_index)]
        try:
            await append(view, environment, tell(found.freeze), *operations)
        except (TransactionConflict, ConsulUnavailable):
            if monotonic() > give_up:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return after


def _describe(entry: FreezeEntry) -> str:
    return f"until {entry.until}: {entry.reason}" if entry.until else entry.reason


def _scope(names: Collection[str]) -> tuple[str, ...]:
    """The tiers, for the journal; none stands for all."""
    return () if EVERY_TIER in names else tuple(names)
