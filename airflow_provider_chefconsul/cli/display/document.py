"""The JSON that commands print; docs/reference/cli.md describes its fields, which are only ever added to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus


def tier_fields(shown: ShownTier) -> dict[str, Any]:
    """A tier and each of its members."""
    status, desired = shown.status, shown.status.desired
    return {
        "tier": shown.tier,
        "converged": status.has_converged,
        "headline": shown.explanation.headline,
        "obstacles": list(shown.explanation.obstacles),
        "frozen": frozen_fields(shown.freeze),
        "orphaned": orphan_fields(shown),
        "desired": desired_fields(desired) if isinstance(desired, DesiredState) else None,
        "problem": str(desired) if isinstance(desired, Unreadable) else None,
        "counts": {str(standing): len(nodes) for standing, nodes in status.by_standing.items()},
        "nodes": [_node_fields(node) for node in status.nodes.values()],
    }


def desired_fields(desired: DesiredState) -> dict[str, Any]:
    """A desired state, without the fields that choose a canary's nodes."""
    return {
        "generation": desired.generation,
        "stable": desired.stable.to_fields(),
        "canary": desired.canary.assignment.to_fields() if desired.canary else None,
        "sequence": desired.sequence,
        "written_by": str(desired.written_by),
        "written_at": desired.written_at,
    }


def frozen_fields(freeze: Freeze | Unreadable) -> dict[str, Any] | None:
    """By tier, or ``"*"`` for all, who froze it; None when nobody can say."""
    if isinstance(freeze, Unreadable):
        return None
    return {
        name: {"by": str(each.by), "since": each.since, "until": each.until, "reason": each.reason}
        for name, each in freeze.entries.items()
    }


def orphan_fields(shown: ShownTier) -> dict[str, Any] | None:
    """Who left a canary out, since when, and how that Dag run ended; None without one."""
    desired, orphan = shown.status.desired, shown.orphan
    if orphan is None or not isinstance(desired, DesiredState):
        return None
    return {
        "by": str(desired.written_by),
        "since": desired.written_at,
        "run": str(orphan.fate),
        "ended_at": moment_text(orphan.at),
    }


def moment_text(moment: datetime | None) -> str | None:
    """ISO 8601."""
    return None if moment is None else moment.isoformat()


def _node_fields(node: NodeStatus) -> dict[str, Any]:
    assigned, report = node.assigned, node.report
    return {
        "node": node.member.node,
        "agent": "up" if node.member.is_present else "down",
        "assigned": {"generation": assigned.generation, "state": assigned.state} if assigned else None,
        "reported": {"generation": report.generation, "state": report.state, "status": str(report.status)}
        if report
        else None,
        "standing": node.standing and str(node.standing),
        "since": moment_text(node.since),
        "why": describe_reason(node),
    }
