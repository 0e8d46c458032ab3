"""``airflow chefconsul promote`` and ``abort``: lets a rollout reach all nodes now, or calls it off."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers
from airflow_provider_chefconsul.cli.writer import who_writes
from airflow_provider_chefconsul.cli.writing import print_decisions
from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.parameter import check_reason
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion


@command
async def promote_command(args: Namespace, output: Output) -> ExitCode:
    """Give all nodes the canary's assignment now."""
    return await _steer(args, output, Promotion(who_writes("promote"), args.reason or ""), done="promoted")


@command
async def abort_command(args: Namespace, output: Output) -> ExitCode:
    """Roll the canary back; its Dag run may not begin another wave."""
    return await _steer(args, output, Abort(who_writes("abort"), check_reason(args.reason)), done="aborted")


async def _steer(args: Namespace, output: Output, request: Promotion | Abort, *, done: str) -> ExitCode:
    async with open_view(args) as view:
        await find_tiers(view, args.environment, args.tier, program=output.program)
        plan = await steer(view, args.environment, [args.tier], request)
    print_decisions(output, args.environment, plan.decisions, done=done)
    if output.is_json:
        output.document({"environment": args.environment, "generations": plan.generations})
    return ExitCode.OK
