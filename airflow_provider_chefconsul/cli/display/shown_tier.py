"""A tier as commands show it: where it stands, and what is said of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.node import NO_EARLY_FAILURES, NodeExplanation, explain_nodes
from airflow_provider_chefconsul.domain.explanation.tier import TierExplanation, explain_tier
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


@dataclass(frozen=True, slots=True)
class ShownTier:
    """A tier at one moment, in facts and in words."""

    environment: str
    tier: str
    status: TierStatus
    explanation: TierExplanation
    nodes: Mapping[str, NodeExplanation]

    @classmethod
    def of(
        cls,
        environment: str,
        tier: str,
        status: TierStatus,
        *,
        now: datetime,
        lease: Lease | Unreadable | None = None,
        early_failures: Mapping[str, EarlyFailure] = NO_EARLY_FAILURES,
    ) -> ShownTier:
        """Word where a tier stands.

        :param lease: what stands under the environment's lease key.
        :param early_failures: by node, runs that ended before they had read a tier.
        """
        explanation = explain_tier(environment, tier, status, now=now, lease=lease)
        nodes = explain_nodes(status, now=now, early_failures=early_failures)
        return cls(environment, tier, status, explanation, nodes)
