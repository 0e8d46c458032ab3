"""``airflow chefconsul history``: what a tier was assigned, by whom, and what became of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.table import WIDE
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.text import one_line


@command
async def history_command(args: Namespace, output: Output) -> ExitCode:
    """List the generations in the history and what the journal tells of them, newest first."""
    async with open_view(args) as view:
        await find_tiers(view, args.environment, args.tier, program=output.program)
        history = await view.history(args.environment, args.tier)
        record = await view.read(args.environment, args.tier)
        journal = await read_journal(view, args.environment)
    assigned = record.desired.generations if isinstance(record.desired, DesiredState) else frozenset()
    entries = [_fields(number, entry, number in assigned) for number, entry in sorted(history.items(), reverse=True)]
    events = [_event_fields(each, args.tier) for each in reversed(journal) if _is_event(each, args.tier)]
    if output.is_json:
        found = {"environment": args.environment, "tier": args.tier, "generations": entries, "events": events}
        output.document(found)
    else:
        output.line(f"{args.environment}/{args.tier}: the history of its generations; * is assigned now", style="bold")
        output.show(_table(_merge(entries, events, _began(journal, args.tier)), is_wide=output.console.width >= WIDE))
    return ExitCode.OK


def _fields(number: int, entry: DesiredState, is_assigned: bool) -> dict[str, Any]:
    return {
        **entry.assignment_at(number).to_fields(),
        "assigned": is_assigned,
        "canary": entry.is_of_canary(number),
        "sequence": entry.sequence,
        "written_by": str(entry.written_by),
        "written_at": entry.written_at,
    }


def _is_event(entry: JournalEntry, tier: str) -> bool:
    """Whether it tells what became of an assignment; a generation itself tells that it was declared."""
    return tier in entry.tiers and entry.act != JournalAct.DECLARED


def _event_fields(entry: JournalEntry, tier: str) -> dict[str, Any]:
    return {
        "generation": entry.tiers[tier].generation,
        "act": str(entry.act),
        "wave": None if entry.wave is None else str(entry.wave),
        "reason": entry.reason,
        "by": str(entry.by),
        "at": entry.at,
    }


def _began(journal: list[JournalEntry], tier: str) -> dict[int, str]:
    """By generation, when the journal first tells of it."""
    return {each.tiers[tier].generation: each.at for each in reversed(journal) if tier in each.tiers}


def _merge(
    entries: list[dict[str, Any]], events: list[dict[str, Any]], began: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Generations and events, newest first: an event above its generation, and above all that had begun before it.

    Both come in this order already; clocks differ, so an event's time alone would not do.

    :param began: by generation, when the journal first tells of it, which is more precise than its own time.
    """
    merged, left = [], events
    for entry in entries:
        generation = entry["generation"]
        since = read_moment(began.get(generation, entry["written_at"]))
        above = [each for each in left if each["generation"] >= generation or _is_after(each["at"], since)]
        left = [each for each in left if each not in above]
        merged += [*above, entry]
    return [*merged, *left]


def _is_after(at: str, since: datetime | None) -> bool:
    moment = read_moment(at)
    return moment is not None and since is not None and moment >= since


def _table(entries: list[dict[str, Any]], *, is_wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("generation", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True, max_width=None if is_wide else 12)
    table.add_column("values", overflow="fold")
    table.add_column("written at", no_wrap=True)
    if is_wide:
        table.add_column("written by", overflow="fold")
    for entry in entries:
        cells = _event_cells(entry) if "act" in entry else _generation_cells(entry)
        shown = cells if is_wide else cells[:-1]
        table.add_row(*(Text(one_line(cell)) for cell in shown))
    return table


def _generation_cells(entry: dict[str, Any]) -> list[str]:
    values = ", ".join(f"{name}={value}" for name, value in entry["values"].items())
    return [
        f"{'* ' if entry['assigned'] else ''}{entry['generation']}",
        entry["state"],
        f"{'canary ' if entry['canary'] else ''}{values}",
        entry["written_at"],
        entry["written_by"],
    ]


def _event_cells(event: dict[str, Any]) -> list[str]:
    about = f"{event['act'].replace('_', ' ')}: generation {event['generation']}"
    wave = f", {event['wave']}" if event["wave"] else ""
    return ["", "", f"{about}{wave}{': ' if event['reason'] else ''}{event['reason']}", event["at"], event["by"]]
