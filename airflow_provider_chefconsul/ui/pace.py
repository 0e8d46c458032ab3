"""The JSON of how fast a tier's nodes may converge, and who holds its slots. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.domain.explanation.slots import explain_pace
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.ui.tier_state import TierState


def describe_pace(state: TierState, *, now: datetime) -> dict[str, Any] | None:
    """The pace of a tier, in lines of text; None without one, and once all nodes have converged."""
    status, desired = state.status, state.status.desired
    if not isinstance(desired, DesiredState) or status.has_converged:
        return None
    # What a spoilt ticket holds may name what the viewer may not see.
    tickets = {
        node: each.without_value() if isinstance(each, Unreadable) else each for node, each in state.tickets.items()
    }
    members = {node: status.nodes[node].member for node in tickets if node in status.nodes}
    explained = explain_pace(desired, tickets, members, now=now)
    return None if explained is None else {"lines": list(explained.lines), "stuck": list(explained.stuck)}
