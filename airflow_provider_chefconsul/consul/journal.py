"""The journal of an environment: appending to it in the transaction that acts, and reading it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.exceptions import MalformedDocument, TransactionConflict

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

KEPT = 500
"""The entries of an environment that are kept; the oldest go first."""

_PRUNED_AT_ONCE = 8  # a longer journal shrinks gradually


def now_written() -> str:
    """The time of an entry that is made now."""
    return write_moment(datetime.now(UTC), timespec="milliseconds")


async def make_appends(
    view: SharedView, environment: str, entries: Sequence[JournalEntry]
) -> tuple[list[Operation], list[Operation]]:
    """The operations that append entries, and those that remove the oldest ones instead."""
    prefix = view.keys.journal(environment)
    _, names = await view.client.names(prefix)
    appends = [Operation.check_and_set(_key(prefix, entry), entry.to_json(), 0) for entry in entries]
    too_many = max(0, len(names) + len(entries) - KEPT)
    return appends, [Operation.delete(name) for name in sorted(names)[: min(too_many, _PRUNED_AT_ONCE)]]


async def append(view: SharedView, environment: str, entry: JournalEntry, *operations: Operation) -> None:
    """Append an entry, in one transaction with what acts.

    :raises TransactionConflict: one of the other operations' checks failed; nothing was done.
    """
    appends, prunes = await make_appends(view, environment, [entry])
    await view.client.transact([*operations, *appends, *prunes])


async def append_verdict(view: SharedView, environment: str, entry: JournalEntry) -> None:
    """Append what a wait found, unless the journal has the same verdict on the same assignments."""
    _, names = await view.client.names(view.keys.journal(environment))
    if not any(name.endswith(f"-{entry.digest}") for name in names):
        try:
            await append(view, environment, entry)
        except TransactionConflict:  # another wait appended it in the same millisecond
            return


async def read_journal(view: SharedView, environment: str) -> list[JournalEntry]:
    """The entries, oldest first; what cannot be read is left out."""
    _, found = await view.client.tree(view.keys.journal(environment))
    entries = []
    for each in sorted(found, key=lambda each: each.key):
        try:
            entries.append(JournalEntry.from_json(each.key, each.value))
        except MalformedDocument:
            continue
    return entries


def _key(prefix: str, entry: JournalEntry) -> str:
    """A key that sorts by time; a verdict's also says which verdict it is."""
    moment = entry.at.replace("-", "").replace(":", "")
    return f"{prefix}{moment}-{entry.digest if entry.is_verdict else token_hex(6)}"
