"""Auditing a tier: which nodes no longer match what they were assigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


@dataclass(frozen=True, slots=True)
class TierDrift:
    """What an audit found of a tier.

    :param members: how many members the tier has.
    :param drifted: by node name, where the members stand that do not match; None for a node that reports and is no
        member.
    :param is_unknown: whether it cannot be said of the tier whether it matches.
    """

    members: int
    drifted: Mapping[str, Standing | None] = field(default_factory=dict)
    is_unknown: bool = False

    def exceeds(self, max_drifted: Count) -> bool:
        """Whether more nodes have drifted than may, a percentage being of the members; or nobody can say."""
        return self.is_unknown or len(self.drifted) > max_drifted.at_most(self.members)


def find_drift(status: TierStatus) -> TierDrift:
    """Audit a tier."""
    if not isinstance(status.desired, DesiredState) or not status.nodes:
        return TierDrift(len(status.nodes), is_unknown=True)
    members = {name: node.standing for name, node in status.nodes.items() if not node.has_converged}
    return TierDrift(len(status.nodes), {**members, **dict.fromkeys(status.strangers)})
