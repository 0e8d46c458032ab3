"""The journal of an environment: appending to it in the transaction that acts, and reading it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.exceptions import MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.entry import Entry
    from airflow_provider_chefconsul.consul.view import SharedView

KEPT = 500
"""The entries of an environment that are kept; the oldest go first.

Those that make a generation good are counted apart: a rollback may go back to what has stood for months.
"""

_GOOD = "-good"  # the end of their keys

_PRUNED_AT_ONCE = 8  # a longer journal shrinks gradually


def now_written() -> str:
    """The time of an entry that is made now."""
    return write_moment(datetime.now(UTC), timespec="milliseconds")


async def make_appends(
    view: SharedView, environment: str, entries: Sequence[JournalEntry]
) -> tuple[list[Operation], list[Operation]]:
    """The operations that append entries, and those that remove the oldest ones instead.

    A verdict is left out that is the last one on the same assignments, too: many may wait for the same.
    """
    prefix = view.keys.journal(environment)
    names = sorted((await view.client.names(prefix))[1])
    new = [entry for entry in entries if not _has_said(entry, names)]
    appends = [Operation.check_and_set(_key(prefix, entry), entry.to_json(), 0) for entry in new]
    prunes: list[Operation] = []
    for makes_good in (False, True):
        kept = [name for name in names if name.endswith(_GOOD) is makes_good]
        too_many = max(0, len(kept) + sum(entry.makes_good is makes_good for entry in new) - KEPT)
        prunes += [Operation.delete(name) for name in kept[: min(too_many, _PRUNED_AT_ONCE)]]
    return appends, prunes


async def append(view: SharedView, environment: str, entry: JournalEntry, *operations: Operation) -> None:
    """Append an entry, in one transaction with what acts.

    :raises TransactionConflict: one of the other operations' checks failed; nothing was done.
    """
    appends, prunes = await make_appends(view, environment, [entry])
    if appends or operations:
        await view.client.transact([*operations, *appends, *prunes])


async def read_journal(view: SharedView, environment: str) -> list[JournalEntry]:
    """The entries, oldest first; what cannot be read is left out."""
    _, found = await view.client.tree(view.keys.journal(environment))
    parsed = (parse_entry(each) for each in sorted(found, key=lambda each: each.key))
    return [entry for entry in parsed if entry is not None]


def parse_entry(entry: Entry) -> JournalEntry | None:
    """What an entry of the journal tells; None where it cannot be read."""
    try:
        return JournalEntry.from_json(entry.key, entry.value)
    except MalformedDocument:
        return None


def _key(prefix: str, entry: JournalEntry) -> str:
    """A key that sorts by time; a verdict's also says what it is about, and which it is."""
    moment = entry.at.replace("-", "").replace(":", "")
    return f"{prefix}{moment}-{_verdict(entry) if entry.is_verdict else token_hex(6)}"


def _verdict(entry: JournalEntry) -> str:
    return f"{entry.digest}{_GOOD if entry.makes_good else f'-{entry.act}'}"


def _has_said(entry: JournalEntry, names: Sequence[str]) -> bool:
    """Whether the journal's last verdict on the same assignments is this one."""
    if not entry.is_verdict:
        return False
    last = next((name for name in reversed(names) if f"-{entry.digest}-" in name), "")
    return last.endswith(_verdict(entry))
