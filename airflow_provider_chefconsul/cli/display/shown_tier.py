"""A tier as commands show it: its status, and the explanation of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.node import NO_EARLY_FAILURES, NodeExplanation, explain_nodes
from airflow_provider_chefconsul.domain.explanation.tier import TierExplanation, explain_tier
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.freeze import NOT_FROZEN, Freeze
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


@dataclass(frozen=True, slots=True)
class ShownTier:
    """A tier at one moment, in facts and in words; nodes are explained when they are asked for.

    :param early_failures: by node, runs that failed before they read a tier.
    :param freeze: what keeps the tier frozen; nothing when it is not.
    :param orphan: how the Dag run ended that left the tier's canary out, if it did.
    """

    environment: str
    tier: str
    status: TierStatus
    explanation: TierExplanation
    now: datetime
    early_failures: Mapping[str, EarlyFailure]
    freeze: Freeze | Unreadable
    orphan: RunEnd | None

    @classmethod
    def of(
        cls,
        environment: str,
        tier: str,
        status: TierStatus,
        *,
        now: datetime,
        lease: Lease | Unreadable | None = None,
        freeze: Freeze | Unreadable = NOT_FROZEN,
        orphan: RunEnd | None = None,
        early_failures: Mapping[str, EarlyFailure] = NO_EARLY_FAILURES,
    ) -> ShownTier:
        """Explain a tier's status.

        :param lease: the environment's, if any.
        :param freeze: the environment's.
        """
        explanation = explain_tier(environment, tier, status, now=now, lease=lease, freeze=freeze, orphan=orphan)
        own = freeze if isinstance(freeze, Unreadable) else freeze.of_tier(tier, now=now)
        return cls(environment, tier, status, explanation, now, early_failures, own, orphan)

    def explain(self, nodes: Iterable[str]) -> list[NodeExplanation]:
        """Explain some of its members, in that order."""
        found = explain_nodes(self.status, nodes, now=self.now, early_failures=self.early_failures)
        return list(found.values())
