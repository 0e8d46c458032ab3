"""The JSON of what was done to an environment, and of what is frozen. Pure: what a viewer may see is a parameter."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_chefconsul.consul.journal_watch import JournalState
from airflow_provider_chefconsul.domain.explanation.journal import describe_act
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.ui.document import MayRead, describe_writer

# A reason may name other Dags than the entry's: whose lease was taken, or who froze what is moved nevertheless.
_NAMED_DAG = re.compile(r"\bDag (\S+), run ")
_SHOWN = 50  # entries


def describe_journal(state: JournalState, may_read: MayRead) -> dict[str, Any]:
    """The last entries, newest first, and what is frozen; names of Dag runs only for those who may read their Dags."""
    return {
        "entries": [_describe_entry(entry, may_read) for entry in reversed(state.entries[-_SHOWN:])],
        "freeze": _describe_freeze(state.freeze, may_read),
    }


def dag_ids_of_journal(state: JournalState) -> set[str]:
    """The Dags whose names the viewer would see, here or in what rests on older entries."""
    named = [(each.by, each.reason) for each in state.entries]
    if isinstance(state.freeze, Freeze):
        named += [(each.by, each.reason) for each in state.freeze.entries.values()]
    return {dag_id for by, reason in named for dag_id in (by.dag_id, *dag_ids_in(reason))}


def dag_ids_in(text: str) -> set[str]:
    """The Dags that a text names."""
    return set(_NAMED_DAG.findall(text))


def show_text(text: str, may_read: MayRead) -> str | None:
    """The text on one line; None when the viewer may not read a Dag that it names."""
    return one_line(text) if all(map(may_read, dag_ids_in(text))) else None


def _describe_entry(entry: JournalEntry, may_read: MayRead) -> dict[str, Any]:
    return {
        "at": one_line(entry.at),
        "act": one_line(entry.act),
        "what": [one_line(each) for each in describe_act(entry)],
        "wave": one_line(str(entry.wave)) if entry.wave else None,
        "by": describe_writer(entry.by, may_read),
        "reason": describe_reason(entry.by, entry.reason, may_read),
    }


def describe_reason(by: Writer, reason: str, may_read: MayRead) -> str | None:
    """A reason as somebody gave it; None when the viewer may not see the writer, or a Dag that it names."""
    return show_text(reason, may_read) if may_read(by.dag_id) else None


def _describe_freeze(freeze: Freeze | Unreadable, may_read: MayRead) -> dict[str, Any]:
    match freeze:
        case Unreadable():
            problem = f"what is frozen cannot be read, so nobody may write: {freeze.without_value()}"
            return {"problem": one_line(problem), "entries": []}
        case Freeze(entries=entries):
            described = [
                {
                    "tier": name,
                    "by": describe_writer(each.by, may_read),
                    "since": one_line(each.since),
                    "until": each.until and one_line(each.until),
                    "reason": describe_reason(each.by, each.reason, may_read),
                }
                for name, each in entries.items()
            ]
            return {"problem": None, "entries": described}
