"""``airflow chefconsul status``: where the nodes of an environment stand."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import command, look_for_orphans, open_view
from airflow_provider_chefconsul.cli.display.document import tier_fields
from airflow_provider_chefconsul.cli.display.follow import StatusFollower
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.rendering import Screenful, render
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.consul.freeze import read_freeze
from airflow_provider_chefconsul.consul.overview import read_lease
from airflow_provider_chefconsul.consul.token_scope import check_token_sees_all
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.exceptions import NotDeclared

_LINES = 50  # at most, so that what needs somebody does not scroll away
_PATIENCE_OF_WATCH = timedelta(seconds=2)  # then it reports that Consul is unavailable, and continues


@command
async def status_command(args: Namespace, output: Output) -> ExitCode:
    """Show the tiers once, or continuously with ``--watch``."""
    async with open_view(args, patience=_PATIENCE_OF_WATCH if args.watch else None) as view:
        try:
            tiers = await find_tiers(view, args.environment, args.tier, program=output.program)
        except NotDeclared as missing:
            if not args.watch:
                raise
            await StatusFollower(view, args, output, missing=str(missing)).run([args.tier] if args.tier else [])
        if args.tier is None:
            await check_token_sees_all(view, view.keys.environment(args.environment))
        if args.watch:
            await StatusFollower(view, args, output).run(tiers)
        lease, freeze = await read_lease(view, args.environment), await read_freeze(view, args.environment)
        statuses = {
            tier: tier_status(await view.snapshot(args.environment, tier, selector))
            for tier, selector in parse_selectors(args, tiers).items()
        }
        orphans = await look_for_orphans(args, view, {tier: each.desired for tier, each in statuses.items()}, lease)
        now = datetime.now(UTC)
    shown = [
        ShownTier.of(args.environment, tier, status, now=now, lease=lease, freeze=freeze, orphan=orphans.get(tier))
        for tier, status in statuses.items()
    ]
    if output.is_json:
        output.document({"environment": args.environment, "tiers": [tier_fields(each) for each in shown]})
    else:
        height = None if args.all else _LINES
        content = render(shown, now=now, width=output.console.width, lists_all=args.all, height=height)
        output.show(content if height is None else Screenful(content, height, "--all prints them"))
    has_converged = all(each.status.has_converged for each in shown)
    return ExitCode.OK if has_converged else ExitCode.NOT_CONVERGED
