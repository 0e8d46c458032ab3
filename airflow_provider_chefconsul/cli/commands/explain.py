"""``airflow chefconsul explain``: what holds a tier or a node up, since when, and who can act."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import command, look_for_orphans, open_view
from airflow_provider_chefconsul.cli.display.document import frozen_fields, moment_text, orphan_fields
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.cli.lookup import find_tiers, name_some
from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.freeze import read_freeze
from airflow_provider_chefconsul.consul.node_snapshot import read_node
from airflow_provider_chefconsul.consul.overview import read_early_failure, read_early_failures, read_lease
from airflow_provider_chefconsul.consul.slots import read_queue
from airflow_provider_chefconsul.domain.explanation.choregraphie_lock import explain_lock
from airflow_provider_chefconsul.domain.explanation.node import NodeExplanation
from airflow_provider_chefconsul.domain.explanation.slots import explain_tickets
from airflow_provider_chefconsul.domain.explanation.tier import explain_desired
from airflow_provider_chefconsul.domain.model.choregraphie_lock import ChoregraphieLock
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import is_name, nearest
from airflow_provider_chefconsul.domain.text import cut_lines, one_line
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus, tier_status
from airflow_provider_chefconsul.exceptions import AccessDenied, MalformedDocument, NotDeclared

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_EXPLAINED = 50  # nodes
_HOLDERS = 8  # lines


@command
async def explain_command(args: Namespace, output: Output) -> ExitCode:
    """Explain the tier and each node that holds it up; or the named node, for which the tier is not read."""
    selector = parse_selectors(args, [args.tier])[args.tier]
    async with open_view(args) as view:
        snapshot = await read_node(view, args.environment, args.tier, selector, args.node) if args.node else None
        if snapshot is None:
            await find_tiers(view, args.environment, args.tier, program=output.program)
            snapshot = await view.snapshot(args.environment, args.tier, selector)
        lease, freeze = await read_lease(view, args.environment), await read_freeze(view, args.environment)
        early_failures = await _read_early_failures(view, args)
        status, now = tier_status(snapshot), datetime.now(UTC)
        orphans = await look_for_orphans(args, view, {args.tier: status.desired}, lease)
        waits = _waits(args, status)
        if args.node and (waits or args.lock):  # the snapshot has only this member
            everybody = await read_members(view.client, selector)
        else:
            everybody = snapshot.members
        holders = await _explain_holders(view, args, everybody, now=now) if waits else []
        locks = [await _explain_lock(view, key, status, everybody, now=now) for key in args.lock]
    shown = ShownTier.of(
        args.environment,
        args.tier,
        status,
        now=now,
        lease=lease,
        freeze=freeze,
        orphan=orphans.get(args.tier),
        early_failures=early_failures,
    )
    explained, has_converged = _choose(args, shown), status.has_converged
    if args.node:
        desired = explain_desired(args.environment, args.tier, status.desired, now=now, lease=lease, freeze=freeze)
        shown, has_converged = replace(shown, explanation=desired), status.nodes[args.node].has_converged
    if output.is_json:
        output.document(_fields(shown, explained, holders, locks, has_converged=has_converged))
    else:
        _print(output, shown, explained, holders, locks)
    return ExitCode.OK if has_converged else ExitCode.NOT_CONVERGED


async def _read_early_failures(view: SharedView, args: Namespace) -> Mapping[str, EarlyFailure]:
    if not args.node:
        return await read_early_failures(view, args.environment)
    found = await read_early_failure(view, args.environment, args.node) if is_name(args.node) else None
    return {args.node: found} if found else {}


def _choose(args: Namespace, shown: ShownTier) -> list[NodeExplanation]:
    nodes = shown.status.nodes
    if args.node is None:
        return shown.explain(name for name, node in nodes.items() if not node.has_converged)
    if args.node not in nodes:
        near = nearest(args.node, nodes)
        meant = f", but {near}" if near else ""
        tier_path, members = f"{args.environment}/{args.tier}", name_some(nodes)
        raise NotDeclared(f"{tier_path} has no member {args.node!r}{meant}; its members are: {members}")
    return shown.explain([args.node])


def _waits(args: Namespace, status: TierStatus) -> bool:
    """Whether a node that is explained waits for a slot."""
    return any(node.standing is Standing.WAITING and args.node in {None, name} for name, node in status.nodes.items())


async def _explain_holders(view: SharedView, args: Namespace, members: Members, *, now: datetime) -> list[str]:
    """Who holds the slots that others wait for, and who is dead in the line, ahead of others."""
    try:
        queue = await read_queue(view, args.environment, args.tier)
    except AccessDenied as error:
        return [one_line(f"who holds slots may not be read: {error}")]
    alive = {node for node, member in members.items() if member.is_present}
    kept = [queued for queued in queue if queued.is_held or queued.node not in alive]
    return [str(each) for each in explain_tickets(kept, members, now=now)]


async def _explain_lock(view: SharedView, key: str, status: TierStatus, members: Members, *, now: datetime) -> str:
    """Who holds a lock of choregraphie, and which of the nodes that are explained may wait for it."""
    key = key.lstrip("/")  # as choregraphie takes it
    try:
        entry = await view.client.get(key)
        if entry is None:
            return one_line(f"lock {key}: nobody has taken it yet")
        lock = ChoregraphieLock.from_json(key, entry.value)
    except (AccessDenied, MalformedDocument) as error:  # what is said of the nodes holds without it
        return one_line(f"lock {key}: cannot be read: {str(error).removeprefix(f'{key}: ')}")
    return explain_lock(lock, status.by_standing.get(Standing.RUNNING, ()), members, now=now)


def _print(
    output: Output, shown: ShownTier, explained: list[NodeExplanation], holders: list[str], locks: list[str]
) -> None:
    explanation = shown.explanation
    output.line(explanation.headline)
    for line in (explanation.written, *explanation.obstacles):
        if line:
            output.line(line, indent=2)
    for holder in cut_lines(holders, _HOLDERS, "holders of slots"):
        output.line(holder, indent=2)
    for lock in locks:
        output.line(lock, indent=2)
    for node in explained[:_EXPLAINED]:
        output.line(str(node))
        if node.action:
            output.line(f"→ {node.action}", indent=2)
    if len(explained) > _EXPLAINED:
        output.line(f"… and {len(explained) - _EXPLAINED} more nodes; --output json has them all")


def _fields(
    shown: ShownTier, explained: list[NodeExplanation], holders: list[str], locks: list[str], *, has_converged: bool
) -> dict[str, Any]:
    explanation, nodes = shown.explanation, shown.status.nodes
    return {
        "environment": shown.environment,
        "tier": shown.tier,
        "converged": has_converged,
        "headline": explanation.headline,
        "written": explanation.written,
        "obstacles": list(explanation.obstacles),
        "frozen": frozen_fields(shown.freeze),
        "orphaned": orphan_fields(shown),
        "slots": holders,
        "locks": locks,
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
