"""``airflow chefconsul slots``: who holds a tier's slots and who waits for one; and freeing the slot of a node."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers, name_some
from airflow_provider_chefconsul.cli.writer import who_writes
from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.slots import free, read_queue
from airflow_provider_chefconsul.domain.explanation.slots import explain_tickets
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from airflow_provider_chefconsul.exceptions import InvalidInput, NotDeclared

_LISTED = 50


@command
async def slots_command(args: Namespace, output: Output) -> ExitCode:
    """Show the tickets, after freeing one if asked to."""
    tier_path = f"{args.environment}/{args.tier}"
    selector = parse_selectors(args, [args.tier])[args.tier]
    if args.free is not None:
        check_name("node", args.free)
    elif args.reason is not None:
        raise InvalidInput("--reason requires --free")
    async with open_view(args) as view:
        await find_tiers(view, args.environment, args.tier, program=output.program)
        if args.free is not None:
            queue = await read_queue(view, args.environment, args.tier)
            by = who_writes("slots")
            if not await free(view, args.environment, args.tier, args.free, by, reason=args.reason or ""):
                there_are = name_some(queued.node for queued in queue)
                raise NotDeclared(f"{tier_path}: {args.free} has no ticket for a slot; there are: {there_are}")
            if any(queued.is_held for queued in queue if queued.node == args.free):
                done = f"freed the slot of {args.free}; if its run goes on, it finishes without one"
            else:
                done = f"took {args.free} out of the line for slots; if it still waits, it queues again"
            output.line(f"{tier_path}: {done}")
        desired = (await view.desired(args.environment, [args.tier]))[args.tier]
        queue = await read_queue(view, args.environment, args.tier)
        members = await read_members(view.client, selector)
    explained = explain_tickets(queue, members, now=datetime.now(UTC))
    if output.is_json:
        tickets = {queued.node: queued for queued in queue}
        output.document(
            {
                "environment": args.environment,
                "tier": args.tier,
                "freed": args.free,
                "pace": None if desired is None else desired.newest.pace.to_fields(),
                "tickets": [
                    {"node": each.node, "held": each.is_held, "text": each.text, **_fields(tickets[each.node])}
                    for each in explained
                ],
            }
        )
        return ExitCode.OK
    output.line(f"{tier_path}: {_describe(desired, queue)}", style="bold")
    for each in explained[:_LISTED]:
        output.line(str(each), indent=2)
    if len(explained) > _LISTED:
        output.line(f"… and {len(explained) - _LISTED} more; --output json has them all", indent=2)
    return ExitCode.OK


def _describe(desired: DesiredState | None, queue: list[QueuedTicket]) -> str:
    held = sum(queued.is_held for queued in queue)
    pace = "no desired state" if desired is None else str(desired.newest.pace)
    return f"{pace}; {held} in use, {len(queue) - held} waiting"


def _fields(queued: QueuedTicket) -> dict[str, object]:
    ticket = queued.ticket
    names = ("group", "since", "held_since", "generation", "is_failed")
    return {name.removeprefix("is_"): getattr(ticket, name, None) for name in names}
