"""Convergence events: all watched tiers have converged at the same time, with no canary out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.domain.event.cursor import Cursor
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus
from airflow_provider_chefconsul.domain.verdict.wait import Wait

_NEVER = datetime.max.replace(tzinfo=UTC)  # a watcher has no deadline: what is late may still converge


@dataclass(frozen=True, slots=True)
class ConvergenceEvent:
    """All tiers have converged: on these assignments, with these statuses."""

    environment: str
    assignments: Mapping[str, Assignment]
    statuses: Mapping[str, TierStatus]

    @property
    def cursor(self) -> Cursor:
        """The watcher's cursor once this event is sent."""
        return {tier: assignment.generation for tier, assignment in self.assignments.items()}

    def to_payload(self) -> dict[str, Any]:
        """What consumers receive; ``key`` stays the same when the event is sent again."""
        generations = ",".join(f"{tier}@{generation}" for tier, generation in sorted(self.cursor.items()))
        return {
            "event": "tier_converged",
            "key": f"{self.environment}/{generations}",
            "environment": self.environment,
            "tiers": {
                tier: {
                    **assignment.to_fields(),
                    "nodes": {str(standing): len(nodes) for standing, nodes in self.statuses[tier].by_standing.items()},
                }
                for tier, assignment in sorted(self.assignments.items())
            },
        }


@dataclass(frozen=True, slots=True)
class ConvergenceWatch:
    """A watcher's goal and what it has seen so far; transitions return a new one.

    A tier has converged when all its nodes are assigned one generation and the policy is met. A wave, a failed node and
    a late tier give no event: the watch continues until they, or newer generations, have converged.

    :param state: only tiers that are assigned this state count as converged; None means any state.
    :param waits: by tier, the wait for the generation seen last.
    """

    environment: str
    policy: ConvergencePolicy
    state: str | None = None
    waits: Mapping[str, Wait] = field(default_factory=dict)

    def interrupt(self) -> ConvergenceWatch:
        """This watch after an outage, during which the policy may have been broken unseen."""
        return replace(self, waits={tier: replace(wait, holding_since=None) for tier, wait in self.waits.items()})

    def begin(self, snapshots: Mapping[str, TierSnapshot], *, now: datetime) -> Cursor:
        """The cursor of a watch that starts now: it includes tiers that have converged only just."""
        _, event = replace(self, policy=replace(self.policy, min_healthy_time=timedelta(0))).observe(snapshots, now=now)
        return event.cursor if event else {}

    def observe(
        self, snapshots: Mapping[str, TierSnapshot], *, now: datetime
    ) -> tuple[ConvergenceWatch, ConvergenceEvent | None]:
        """This watch after seeing the tiers, and an event if all have converged now.

        :param snapshots: all watched tiers.
        """
        waits: dict[str, Wait] = {}
        assignments: dict[str, Assignment] = {}
        statuses: dict[str, TierStatus] = {}
        for tier, snapshot in snapshots.items():
            if not isinstance(snapshot.desired, DesiredState):
                continue
            stable = snapshot.desired.stable
            wait = self.waits.get(tier)
            if wait is None or wait.generation != stable.generation or wait.find_replaced(snapshot.desired):
                wait = Wait(stable.generation, _NEVER)
            waits[tier], verdict = wait.observe(snapshot, self.policy, now=now)
            is_whole = snapshot.desired.canary is None and self.state in {None, stable.state}
            if is_whole and isinstance(verdict, Converged):
                assignments[tier], statuses[tier] = stable, verdict.status
        watch = replace(self, waits=waits)
        if not snapshots or len(assignments) < len(snapshots):
            return watch, None
        return watch, ConvergenceEvent(self.environment, assignments, statuses)
