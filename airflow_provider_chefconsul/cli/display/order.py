"""What is shown first: what needs a person."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing

_WORST_FIRST = (
    None,  # nobody can say
    Standing.FAILED,
    Standing.FAILED_EARLIER,
    Standing.LOST,
    Standing.MALFORMED,
    Standing.WRONG_STATE,
    Standing.UNKNOWN,
    Standing.UNHEALTHY,
    Standing.OLD_GENERATION,
    Standing.NOT_REPORTED,
    Standing.INTERRUPTED,
    Standing.REBOOTING,
    Standing.RUNNING,
    Standing.WAITING,
    Standing.ABSENT,
    Standing.LEFT,
    Standing.CONVERGED,
)
_RANKS = {standing: rank for rank, standing in enumerate(_WORST_FIRST)}


def nodes_worst_first(nodes: Iterable[NodeStatus]) -> list[NodeStatus]:
    """The nodes in the order in which somebody should look at them; those that stand alike keep theirs."""
    return sorted(nodes, key=lambda node: _RANKS[node.standing])


def tiers_worst_first(tiers: Iterable[ShownTier]) -> list[ShownTier]:
    """The tiers that have not converged before the others, each by its worst node; those alike keep their order."""
    return sorted(tiers, key=_rank)


def _rank(shown: ShownTier) -> tuple[bool, int]:
    return shown.status.has_converged, min((_RANKS[standing] for standing in shown.status.by_standing), default=0)
