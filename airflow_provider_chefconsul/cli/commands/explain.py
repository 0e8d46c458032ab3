"""``airflow chefconsul explain``: what holds a tier or a node up, since when, and who can act."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.document import moment_text
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers, name_some
from airflow_provider_chefconsul.consul.overview import read_early_failures, read_lease
from airflow_provider_chefconsul.domain.explanation.node import NodeExplanation
from airflow_provider_chefconsul.domain.model.name import nearest
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.exceptions import NotDeclared

_EXPLAINED = 50  # nodes


@command
async def explain_command(args: Namespace, output: Output) -> ExitCode:
    """Explain the tier and each node that holds it up, or the one that is named."""
    async with open_view(args) as view:
        await find_tiers(view, args.environment, args.tier)
        snapshot = await view.snapshot(args.environment, args.tier, parse_selectors(args, [args.tier])[args.tier])
        lease = await read_lease(view, args.environment)
        early_failures = await read_early_failures(view, args.environment)
    status, now = tier_status(snapshot), datetime.now(UTC)
    shown = ShownTier.of(args.environment, args.tier, status, now=now, lease=lease, early_failures=early_failures)
    explained = _choose(args, shown)
    if output.is_json:
        output.document(_fields(shown, explained))
    else:
        _print(output, shown, explained)
    has_converged = status.nodes[args.node].has_converged if args.node else status.has_converged
    return ExitCode.OK if has_converged else ExitCode.NOT_CONVERGED


def _choose(args: Namespace, shown: ShownTier) -> list[NodeExplanation]:
    explained = shown.nodes
    if args.node is None:
        return [each for name, each in explained.items() if not shown.status.nodes[name].has_converged]
    if args.node not in explained:
        near = nearest(args.node, explained)
        meant = f", but {near}" if near else ""
        tier_path, members = f"{args.environment}/{args.tier}", name_some(explained)
        raise NotDeclared(f"{tier_path} has no member {args.node!r}{meant}; its members are: {members}")
    return [explained[args.node]]


def _print(output: Output, shown: ShownTier, explained: list[NodeExplanation]) -> None:
    explanation = shown.explanation
    output.line(explanation.headline)
    for line in (explanation.written, *explanation.obstacles):
        if line:
            output.line(line, indent=2)
    for node in explained[:_EXPLAINED]:
        output.line(str(node))
        if node.action:
            output.line(f"→ {node.action}", indent=2)
    if len(explained) > _EXPLAINED:
        output.line(f"… and {len(explained) - _EXPLAINED} more nodes; --output json has them all")


def _fields(shown: ShownTier, explained: list[NodeExplanation]) -> dict[str, Any]:
    explanation, nodes = shown.explanation, shown.status.nodes
    return {
        "environment": shown.environment,
        "tier": shown.tier,
        "converged": shown.status.has_converged,
        "headline": explanation.headline,
        "written": explanation.written,
        "obstacles": list(explanation.obstacles),
        "nodes": [
            {
                "node": each.node,
                "standing": nodes[each.node].standing,
                "text": each.text,
                "since": moment_text(nodes[each.node].since),
                "action": each.action,
            }
            for each in explained
        ],
    }
