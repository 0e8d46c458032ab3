"""Auditing a tier: which nodes no longer match what they were assigned, or cannot be judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.domain.count import Count, floor_of
from airflow_provider_chefconsul.domain.explanation.explain import NOBODY_DIED, TierExplanation, explain_tier
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.name import twins
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.exceptions import MalformedDocument


@dataclass(frozen=True, slots=True)
class TierDrift:
    """What an audit found of a tier.

    :param drifted: by node name, why it does not match; among them nodes that report and are no members.
    :param standings: by node name, in one word.
    :param unknown: why it cannot be said of the tier whether it matches; empty when it can.
    """

    explanation: TierExplanation
    drifted: Mapping[str, str] = field(default_factory=dict)
    standings: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""

    @property
    def members(self) -> int:
        """How many members the tier has."""
        return len(self.explanation.nodes)

    def exceeds(self, max_drifted: Count) -> bool:
        """Whether more nodes have drifted than may, a percentage being of the members; or nobody can say."""
        return bool(self.unknown) or len(self.drifted) > floor_of(max_drifted, self.members)

    def to_fields(self) -> dict[str, Any]:
        """A summary for the XCom."""
        return {"members": self.members, "drifted": dict(self.standings), "unknown": self.unknown}


def find_drift(
    environment: str,
    tier: str,
    snapshot: TierSnapshot,
    *,
    now: datetime,
    lease: Lease | MalformedDocument | None = None,
    died: Mapping[str, EarlyFailure] = NOBODY_DIED,
) -> TierDrift:
    """Audit a tier."""
    explanation = explain_tier(environment, tier, snapshot, now=now, lease=lease, died=died)
    if not isinstance(snapshot.desired, DesiredState) or not snapshot.members:
        return TierDrift(explanation, unknown=f"{explanation.headline}; {explanation.obstacles[0]}")
    drifted, standings = {}, {}
    for name, node in explanation.nodes.items():
        if node.standing is not Standing.CONVERGED:
            drifted[name] = f"{node.text}; {node.action}" if node.action else node.text
            standings[name] = str(node.standing)
    strangers = sorted(snapshot.evidence.keys() - snapshot.members.keys())
    same = twins(strangers, snapshot.members)
    for name in strangers:
        is_same = f", most likely the same machine as {same[name]}" if name in same else ""
        drifted[name] = f"has a report and is no member{is_same}; bring it back into the catalog, or delete its report"
        standings[name] = "no_member"
    return TierDrift(explanation, drifted, standings)
