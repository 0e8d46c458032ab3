"""``airflow chefconsul forget``: removes a tier and all its keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import PATIENCE, command, open_view
from airflow_provider_chefconsul.cli.confirm import confirm
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import name_some
from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.forget import FoundTier, find_tier, forget
from airflow_provider_chefconsul.consul.keys import KINDS
from airflow_provider_chefconsul.consul.overview import list_tiers
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import NotDeclared

_WORDS = {
    "desired": ("desired state", "desired states"),
    "nodes": ("report", "reports"),
    "locks": ("lock", "locks"),
    "done": ("mark of a task done", "marks of tasks done"),
    "slots": ("ticket for a slot", "tickets for slots"),
    "other": ("other key", "other keys"),
    "history": ("generation of history", "generations of history"),
}


@command
async def forget_command(args: Namespace, output: Output) -> ExitCode:
    """Remove the tier after confirmation, and print what was removed."""
    tier_path = f"{check_name('environment', args.environment)}/{check_name('tier', args.tier)}"
    selector = parse_selectors(args, [args.tier])[args.tier]
    async with open_view(args) as view:
        found = await find_tier(view, args.environment, args.tier)
        if not found.keys:
            others = name_some(await list_tiers(view, args.environment))
            raise NotDeclared(f"nothing is stored for {tier_path}; tiers of {args.environment}: {others}")
        members = await read_members(view.client, selector)
        question = _question(tier_path, found, members)
        confirm(args, question, what="forgetting a tier", refused=f"{tier_path} was not forgotten")
        removed = await forget(view, found, patience=PATIENCE)
        left = len((await find_tier(view, args.environment, args.tier)).keys)
    if output.is_json:
        counts = {kind: removed[kind] for kind in KINDS}
        output.document({"environment": args.environment, "tier": args.tier, "removed": counts, "left": left})
    output.line(f"{tier_path}: forgotten, removed {_describe(removed)}")
    if left:
        output.line(f"{left} keys are back, since nodes still report; run this again once they have stopped", indent=2)
    return ExitCode.OK


def _question(tier_path: str, found: FoundTier, members: Members) -> str:
    present = [name for name, member in members.items() if member.is_present]
    asked = f"{tier_path} has {len(found.keys)} keys, its history among them; they cannot be restored."
    if members:
        named = f": {name_some(present)}" if present else ""
        asked += f"\nIt has {len(members)} members, {len(present)} of them present{named}; their next runs will fail."
    return f"{asked}\nForget it?"


def _describe(removed: Mapping[str, int]) -> str:
    counted = [f"{removed[kind]} {_WORDS[kind][removed[kind] != 1]}" for kind in KINDS if removed.get(kind)]
    return ", ".join(counted) or "nothing"
