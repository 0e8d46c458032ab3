"""``airflow chefconsul history``: what a tier was assigned, and by whom."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.table import WIDE
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.text import one_line


@command
async def history_command(args: Namespace, output: Output) -> ExitCode:
    """List the generations in the history, newest first."""
    async with open_view(args) as view:
        await find_tiers(view, args.environment, args.tier, program=output.program)
        history = await view.history(args.environment, args.tier)
        record = await view.read(args.environment, args.tier)
    assigned = record.desired.generations if isinstance(record.desired, DesiredState) else frozenset()
    entries = [_fields(number, entry, number in assigned) for number, entry in sorted(history.items(), reverse=True)]
    if output.is_json:
        output.document({"environment": args.environment, "tier": args.tier, "generations": entries})
    else:
        output.line(f"{args.environment}/{args.tier}: the history of its generations; * is assigned now", style="bold")
        output.show(_table(entries, is_wide=output.console.width >= WIDE))
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


def _table(entries: list[dict[str, Any]], *, is_wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("generation", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True, max_width=None if is_wide else 12)
    table.add_column("values", overflow="fold")
    table.add_column("written at", no_wrap=True)
    if is_wide:
        table.add_column("written by", overflow="fold")
    for entry in entries:
        values = ", ".join(f"{name}={value}" for name, value in entry["values"].items())
        began = "canary " if entry["canary"] else ""
        cells = [
            f"{'* ' if entry['assigned'] else ''}{entry['generation']}",
            entry["state"],
            f"{began}{values}",
            entry["written_at"],
            *([entry["written_by"]] if is_wide else []),
        ]
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table
