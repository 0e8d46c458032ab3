"""``airflow chefconsul plan``: what ``set`` would do; nothing is written."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from airflow_provider_chefconsul.cli.argument import parse_change_arguments, parse_selectors, parse_tiers, parse_waves
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import absent_of, describe_nodes, find_empty_tier
from airflow_provider_chefconsul.consul.rollout_plan import RolloutPlan, plan_rollout
from airflow_provider_chefconsul.domain.model.desired import Scalar
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.write.decision import Refused, Write, describe_decision
from airflow_provider_chefconsul.domain.write.plan import MISSING, Difference, Missing, PlannedWave
from airflow_provider_chefconsul.exceptions import NoMembers, WriteRefused

Refusal = WriteRefused | NoMembers


@command
async def plan_command(args: Namespace, output: Output) -> ExitCode:
    """Say what a change would do to each tier, wave by wave."""
    tiers = parse_tiers(args)
    change, waves, selectors = parse_change_arguments(args, "plan"), parse_waves(args), parse_selectors(args, tiers)
    async with open_view(args) as view:
        found = await plan_rollout(view, args.environment, change, selectors, waves)
        is_checked = not args.without_members
        empty = await find_empty_tier(view, args.environment, selectors) if is_checked else None
    refusal = found.refusal if empty is None else empty
    if output.is_json:
        output.document(_fields(args.environment, found, refusal))
    else:
        _print(args.environment, found, refusal, output)
    return ExitCode.OK if refusal is None else ExitCode.REFUSED


def _print(environment: str, found: RolloutPlan, refusal: Refusal | None, output: Output) -> None:
    for tier, each in found.tiers.items():
        for number, planned in enumerate(each.waves, start=1):
            of_waves = f" wave {number} of {len(each.waves)} ({planned.wave})" if len(each.waves) > 1 else ""
            output.line(f"{environment}/{tier}{of_waves}: {_decision(planned)}", style="bold")
            for difference in planned.differences if number == 1 else ():
                output.line(_difference(difference), indent=2)
            if isinstance(planned.decision, Write) and planned.decision.assigns:
                output.line(describe_nodes(planned.nodes, each.members, will="would be"), indent=2)
    if refusal is not None:
        output.line(f"refused, nothing would be written: {refusal}", style="bold red")


def _decision(planned: PlannedWave) -> str:
    match planned.decision:
        case Refused(reason):
            return f"refused: {reason}"
        case decision:
            return describe_decision(decision, done="would write")


def _difference(difference: Difference) -> str:
    before, after = (
        "not there" if side is MISSING else json.dumps(side, ensure_ascii=False)
        for side in (difference.before, difference.after)
    )
    return f"{difference.name or 'state'}: {before} → {after}"


def _fields(environment: str, found: RolloutPlan, refusal: Refusal | None) -> dict[str, Any]:
    return {
        "environment": environment,
        "refused": None if refusal is None else str(refusal),
        "tiers": [
            {
                "tier": tier,
                "members": len(each.members),
                "steps": [_wave_fields(planned, each.members) for planned in each.waves],
            }
            for tier, each in found.tiers.items()
        ],
    }


def _wave_fields(planned: PlannedWave, members: Members) -> dict[str, Any]:
    decision = planned.decision
    return {
        "wave": None if planned.wave is None else str(planned.wave),
        "decision": type(decision).__name__.lower(),
        "reason": decision.reason if isinstance(decision, Refused) else None,
        "generation": None if isinstance(decision, Refused) else decision.generation,
        "is_new": isinstance(decision, Write) and decision.is_new,
        "differences": [
            {"name": each.name or "state", "before": _listed(each.before), "after": _listed(each.after)}
            for each in planned.differences
        ],
        "nodes": list(planned.nodes),
        "absent": absent_of(planned.nodes, members),
    }


def _listed(value: Scalar | Missing) -> list[Scalar]:
    """A value as JSON says it, in a list that is empty where there is none."""
    return [] if value is MISSING else [value]
