"""``airflow chefconsul lease show|break``: shows or breaks the lease of an environment."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.confirm import confirm
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.writer import who_writes
from airflow_provider_chefconsul.consul.lease import break_lease, find_lease
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.text import one_line


@command
async def show_command(args: Namespace, output: Output) -> ExitCode:
    """Show who holds the environment."""
    check_name("environment", args.environment)
    async with open_view(args) as view:
        found = await find_lease(view, args.environment)
    if output.is_json:
        output.document({"environment": args.environment, "lease": None if found is None else _fields(found.lease)})
    elif found is None:
        output.line(f"{args.environment}: nobody holds it, so anybody may write")
    else:
        until = f"it expires at {found.lease.expires_at} unless renewed"
        output.line(f"{args.environment}: {found.lease.describe()}; {until}")
    return ExitCode.OK


@command
async def break_command(args: Namespace, output: Output) -> ExitCode:
    """Break the environment's lease after confirmation."""
    check_name("environment", args.environment)
    async with open_view(args) as view:
        found = await find_lease(view, args.environment)
        if found is None:
            output.line(f"{args.environment}: nobody holds it, so there is nothing to break")
        else:
            held = f"{args.environment} is {one_line(found.lease.describe())}."
            confirm(args, f"{held}\nBreak the lease?", what="breaking a lease", refused="the lease was not broken")
            await break_lease(view, args.environment, found, who_writes("lease break"), reason=args.reason)
            output.line(f"{args.environment}: broken, it was {found.lease.describe()}")
            output.line("the holder's writes are refused until it acquires the lease again", indent=2)
    if output.is_json:
        output.document({"environment": args.environment, "broken": None if found is None else _fields(found.lease)})
    return ExitCode.OK


def _fields(lease: Lease) -> dict[str, Any]:
    return {
        "dag_id": lease.holder.dag_id,
        "run_id": lease.holder.run_id,
        "reason": lease.reason,
        "acquired_at": lease.acquired_at,
        "expires_at": lease.expires_at,
        "ttl_seconds": int(lease.ttl.total_seconds()),
    }
