"""``airflow chefconsul set``: declares the desired state of tiers, under the guards of ``SetDesiredStateOperator``."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from airflow_provider_chefconsul.cli.argument import parse_change_arguments, parse_policy, parse_selectors, parse_tiers
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import describe_nodes, find_empty_tier
from airflow_provider_chefconsul.cli.writing import print_decisions, print_result, wait_until_converged
from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.write.decision import Write
from airflow_provider_chefconsul.domain.write.plan import plan_wave


@command
async def set_command(args: Namespace, output: Output) -> ExitCode:
    """Write in one transaction, and wait when asked to."""
    tiers = parse_tiers(args)
    change, policy, selectors = parse_change_arguments(args, "set"), parse_policy(args), parse_selectors(args, tiers)
    async with open_view(args) as view:
        members = {tier: await read_members(view.client, selector) for tier, selector in selectors.items()}
        if not args.without_members:
            empty = await find_empty_tier(view, args.environment, selectors)
            if empty is not None:
                raise empty
        plan = await write(view, args.environment, dict.fromkeys(tiers, change), selectors)
        for tier, decision in plan.decisions.items():
            print_decisions(output, args.environment, {tier: decision})
            if members[tier] and isinstance(decision, Write) and decision.assigns:
                basis = replace(plan.tiers[tier].basis, members=members[tier])
                planned = plan_wave(basis, decision, change.canary)
                output.line(describe_nodes(planned.nodes, members[tier], will="get"), indent=2)
        generations = plan.generations
        code = ExitCode.OK
        if policy is not None:
            code = await wait_until_converged(
                view, args.environment, generations, selectors, policy, by=change.writer, output=output
            )
    return print_result(output, args, generations, code)
