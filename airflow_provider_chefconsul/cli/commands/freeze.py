"""``airflow chefconsul freeze`` and ``unfreeze``: keeps tiers as they are, and ends that."""

from __future__ import annotations

import shlex
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.cli.argument import parse_moment
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.document import frozen_fields
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.cli.writer import who_writes
from airflow_provider_chefconsul.consul.freeze import find_freeze, freeze, unfreeze
from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, Freeze, check_frozen_tiers, make_freeze_entry
from airflow_provider_chefconsul.domain.model.name import check_name

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


@command
async def freeze_command(args: Namespace, output: Output) -> ExitCode:
    """Freeze tiers, or the whole environment."""
    now = datetime.now(UTC)
    names, until = check_frozen_tiers(args.tier), parse_moment("--until", args.until, ahead=True, now=now)
    entry = make_freeze_entry(who_writes("freeze"), args.reason, until, now=now)
    async with open_view(args) as view:
        await _check_tiers(view, args, output)
        found = await freeze(view, args.environment, names, entry)
    return _show(args.environment, found, output)


@command
async def unfreeze_command(args: Namespace, output: Output) -> ExitCode:
    """End the freeze of tiers, or every freeze of the environment; exits with 3 when a named tier stays frozen."""
    check_name("environment", args.environment)
    names = check_frozen_tiers(args.tier) if args.tier else None
    async with open_view(args) as view:
        found = await unfreeze(view, args.environment, names, who_writes("unfreeze"), reason=args.reason or "")
        if found is None:
            await _check_tiers(view, args, output)  # a tier that is frozen may have been forgotten meanwhile
            output.line(
                f"{args.environment}: nobody froze {' or '.join(args.tier) or 'it'}, so there is nothing to end"
            )
            found = (await find_freeze(view, args.environment)).freeze
    code = _show(args.environment, found, output)
    if not args.tier or EVERY_TIER not in found.entries:
        return code
    output.line(
        f"{args.environment}: still frozen as a whole, and so {' and '.join(args.tier)}; to end that: "
        f"{output.program} unfreeze {args.environment} {shlex.quote(EVERY_TIER)}"
    )
    return ExitCode.NOT_CONVERGED


async def _check_tiers(view: SharedView, args: Namespace, output: Output) -> None:
    """Check that the tiers exist: a freeze of a mistyped name would stop nobody."""
    for tier in args.tier or [None]:
        await find_tiers(view, args.environment, tier, program=output.program)


def _show(environment: str, found: Freeze, output: Output) -> ExitCode:
    """Print what is frozen now."""
    if output.is_json:
        output.document({"environment": environment, "frozen": frozen_fields(found)})
        return ExitCode.OK
    for name, each in found.entries.items():
        output.line(f"{environment}/{name}: {each.describe()}")
    if not found.entries:
        output.line(f"{environment}: nothing is frozen")
    return ExitCode.OK
