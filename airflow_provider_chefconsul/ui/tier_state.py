"""A tier's state, which viewers share: its status, its history, and when its nodes converged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.progress import converged_moments
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus, tier_status


@dataclass(frozen=True, slots=True)
class TierState:
    """A tier as the board shows it.

    :param history: by generation, oldest first.
    :param converged_at: when each converged node did, oldest first.
    :param tickets: by node, those for slots.
    """

    environment: str
    tier: str
    status: TierStatus
    history: Mapping[int, DesiredState] = field(default_factory=dict)
    converged_at: tuple[datetime, ...] = ()
    tickets: Mapping[str, Ticket | Unreadable] = field(default_factory=dict)


def next_state(
    environment: str,
    tier: str,
    snapshot: TierSnapshot,
    history: Mapping[int, DesiredState],
    before: TierState | None = None,
) -> TierState:
    """The tier's state after a new snapshot."""
    status = tier_status(snapshot, before=before.status if before else None)
    return TierState(environment, tier, status, history, converged_moments(status), snapshot.tickets)


def is_canary(node: NodeStatus, status: TierStatus) -> bool:
    """Whether a node is assigned the canary that is out."""
    canary = status.desired.canary if isinstance(status.desired, DesiredState) else None
    return canary is not None and node.is_assigned(canary.assignment.generation)


def cell_of(node: NodeStatus, status: TierStatus) -> list[object]:
    """A node's cell in the heat map: standing, 1 in the canary or else 0, reported generation, state and status."""
    report = node.report
    reported = (report.generation, report.state, str(report.status)) if report else (None, None, None)
    return [node.standing, int(is_canary(node, status)), *reported]


def changed_cells(before: TierStatus | None, after: TierStatus) -> tuple[dict[str, list[object]], list[str]]:
    """The new or changed cells, by node, and the nodes that are gone.

    :param before: None for a page that shows no cells yet.
    """
    known = before.nodes if before else {}
    changed = {}
    for name, node in after.nodes.items():
        if before is not None and known.get(name) is node:
            continue
        cell = cell_of(node, after)
        if before is None or name not in known or cell_of(known[name], before) != cell:
            changed[name] = cell
    return changed, [name for name in known if name not in after.nodes]
