"""``airflow chefconsul journal``: who did what in an environment, when and why."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime

from airflow_provider_chefconsul.cli.argument import parse_moment
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.domain.explanation.journal import describe_entry
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.moment import read_moment


@command
async def journal_command(args: Namespace, output: Output) -> ExitCode:
    """List the entries of the journal, oldest first."""
    since = parse_moment("--since", args.since, ahead=False, now=datetime.now(UTC))
    async with open_view(args) as view:
        entries = await read_journal(view, args.environment)
        if not any(args.tier is None or each.names(args.tier) for each in entries):  # else it may have been forgotten
            await find_tiers(view, args.environment, args.tier, program=output.program)
    chosen = [entry for entry in entries if _is_chosen(entry, args.tier, since)]
    if output.is_json:
        output.document({"environment": args.environment, "entries": [json.loads(each.to_json()) for each in chosen]})
        return ExitCode.OK
    for entry in chosen:
        output.line(f"{entry.at} {describe_entry(entry)}")
    if not chosen:
        output.line(f"{args.environment}: the journal tells of nothing{' of the kind' if entries else ''}")
    return ExitCode.OK


def _is_chosen(entry: JournalEntry, tier: str | None, since: datetime | None) -> bool:
    if tier is not None and not entry.concerns(tier):
        return False
    at = read_moment(entry.at)
    return since is None or (at is not None and at >= since)
