"""``airflow chefconsul plan``: what ``set`` or ``rollback`` would do; nothing is written."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.cli.argument import (
    check_planned,
    parse_change_arguments,
    parse_rollback_arguments,
    parse_selectors,
    parse_tiers,
    parse_wave_takes,
    parse_waves,
    parse_window,
)
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.document import moment_text
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.schedule import Schedule
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import absent_of, describe_nodes, find_empty_tier
from airflow_provider_chefconsul.consul.rollout_plan import RolloutPlan, plan_rollback_of_members, plan_rollout
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.write.decision import Refused, Write, describe_decision
from airflow_provider_chefconsul.domain.write.opening import Opening
from airflow_provider_chefconsul.domain.write.plan import (
    MISSING,
    Difference,
    Missing,
    Move,
    PlannedWave,
    find_differences,
)
from airflow_provider_chefconsul.exceptions import NoMembers, WriteRefused

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

Refusal = WriteRefused | NoMembers


@command
async def plan_command(args: Namespace, output: Output) -> ExitCode:
    """Say what a change would do to each tier, wave by wave; or a rollback."""
    check_planned(args)
    window, wave_takes = parse_window(args), parse_wave_takes(args)
    async with open_view(args) as view:
        found, refusal = await (_plan_rollback if args.rollback else _plan_change)(view, args)
    schedule = Schedule(window if refusal is None else None, wave_takes, datetime.now(UTC))
    if output.is_json:
        output.document(_fields(args.environment, found, refusal, schedule))
    else:
        _print(args, found, refusal, schedule, output)
    return ExitCode.OK if refusal is None else ExitCode.REFUSED


async def _plan_change(view: SharedView, args: Namespace) -> tuple[RolloutPlan, Refusal | None]:
    tiers = parse_tiers(args)
    change, waves, selectors = parse_change_arguments(args, "plan"), parse_waves(args), parse_selectors(args, tiers)
    found = await plan_rollout(view, args.environment, change, selectors, waves)
    is_checked = not args.without_members
    empty = await find_empty_tier(view, args.environment, selectors) if is_checked else None
    return found, found.refusal if empty is None else empty


async def _plan_rollback(view: SharedView, args: Namespace) -> tuple[RolloutPlan, Refusal | None]:
    selectors = parse_selectors(args, parse_tiers(args)[::-1])
    rollback = parse_rollback_arguments(args, "plan")
    found = await plan_rollback_of_members(view, args.environment, rollback, selectors)
    return found, found.refusal


def _print(args: Namespace, found: RolloutPlan, refusal: Refusal | None, schedule: Schedule, output: Output) -> None:
    for tier, each in found.tiers.items():
        for number, (planned, opening) in enumerate(schedule.add_to(each.waves), start=1):
            of_waves = f" wave {number} of {len(each.waves)} ({planned.wave})" if len(each.waves) > 1 else ""
            output.line(f"{args.environment}/{tier}{of_waves}: {_decision(planned)}", style="bold")
            if opening:
                output.line(schedule.describe(opening, number), indent=2)
            if args.rollback and planned.after and planned.left_states:
                left = " and ".join(planned.left_states)
                output.line(f"the tier leaves the state that it is in: {left} → {planned.after.state}", indent=2)
            if number == 1 or len(planned.moves) > 1:
                _print_moves(planned, each.members, output)
            elif isinstance(planned.decision, Write) and planned.decision.assigns:
                output.line(describe_nodes(planned.nodes, each.members, will="would get"), indent=2)
    if refusal is not None:
        output.line(f"refused, nothing would be written: {refusal}", style="bold red")


def _print_moves(planned: PlannedWave, members: Members, output: Output) -> None:
    """Print what changes and for whom: once for the nodes that leave the same assignment."""
    for move in planned.moves or (Move(planned.before, ()),):
        for difference in find_differences(move.before, planned.after) if planned.after else ():
            output.line(_difference(difference), indent=2)
        if isinstance(planned.decision, Write) and planned.decision.assigns:
            output.line(describe_nodes(move.nodes, members, will="would get"), indent=2)


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


def _fields(environment: str, found: RolloutPlan, refusal: Refusal | None, schedule: Schedule) -> dict[str, Any]:
    return {
        "environment": environment,
        "refused": None if refusal is None else str(refusal),
        "tiers": [
            {
                "tier": tier,
                "members": len(each.members),
                "steps": [
                    _wave_fields(planned, each.members, opening) for planned, opening in schedule.add_to(each.waves)
                ],
            }
            for tier, each in found.tiers.items()
        ],
    }


def _wave_fields(planned: PlannedWave, members: Members, opening: Opening | None) -> dict[str, Any]:
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
        "pace": decision.assignment.pace.to_fields() if isinstance(decision, Write) else None,
        "moves": [
            {"before": each.before and each.before.to_fields(), "nodes": list(each.nodes)} for each in planned.moves
        ],
        "absent": absent_of(planned.nodes, members),
        "could_begin": opening and {"from": moment_text(opening.begin), "until": moment_text(opening.end)},
    }


def _listed(value: Scalar | Missing) -> list[Scalar]:
    """A value in a list, which is empty for a missing one."""
    return [] if value is MISSING else [value]
