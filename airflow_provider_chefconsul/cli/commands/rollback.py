"""``airflow chefconsul rollback``: rolls tiers back, as ``RollBackOperator`` does."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_chefconsul.cli.argument import (
    parse_policy,
    parse_rollback_arguments,
    parse_selectors,
    parse_tiers,
)
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.writing import print_decisions, print_result, wait_until_converged
from airflow_provider_chefconsul.consul.overview import require_members
from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.exceptions import WriteRefused


@command
async def rollback_command(args: Namespace, output: Output) -> ExitCode:
    """Roll the tiers back: in one transaction, or with ``--wait`` each once the one after it has converged."""
    tiers = parse_tiers(args)[::-1]
    rollback = parse_rollback_arguments(args, "rollback")
    policy, selectors = parse_policy(args), parse_selectors(args, tiers)
    generations: dict[str, int] = {}
    code = ExitCode.OK
    async with open_view(args) as view:
        if policy is not None:
            await require_members(view, args.environment, selectors)
        for some in [tiers] if policy is None else [[tier] for tier in tiers]:
            try:
                plan = await steer(view, args.environment, some, rollback)
            except WriteRefused as refusal:
                if not generations:
                    raise
                output.error(f"{refusal}; already rolled back: {', '.join(generations)}")
                code = ExitCode.NOT_CONVERGED  # "refused" would say that nothing was written
                break
            print_decisions(output, args.environment, plan.decisions, done="rolled back")
            generations |= plan.generations
            if policy is not None:
                code = await wait_until_converged(
                    view, args.environment, generations, selectors, policy, by=rollback.writer, output=output
                )
            if code is not ExitCode.OK:
                break
    return print_result(output, args, generations, code)
