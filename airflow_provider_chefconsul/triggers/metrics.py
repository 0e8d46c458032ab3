"""What is measured, through Airflow's ``Stats``; docs/reference/metrics.md says what each name means.

Only tasks call these, in their workers: in a triggerer, Airflow gives the code of a provider no ``Stats`` that reach
its backend. So a trigger sends what it measured with its event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.observability.stats import Stats

if TYPE_CHECKING:
    from airflow_provider_chefconsul.domain.verdict.drift import TierDrift
    from airflow_provider_chefconsul.triggers.outcome import Outcome

_PREFIX = "chefconsul"


def measure_wait(environment: str, outcome: Outcome) -> None:
    """The verdict of a wait, how long it and its nudge took, and where the nodes of its tiers stood in the end."""
    from airflow_provider_chefconsul.domain.verdict.standing import Standing

    tags = {"environment": environment, "verdict": str(outcome.ending)}
    if "wait" in outcome.seconds:
        Stats.timing(f"{_PREFIX}.wait.duration", timedelta(seconds=outcome.seconds["wait"]), tags=tags)
    if "nudge" in outcome.seconds:
        measure_nudge(environment, outcome.seconds["nudge"])
    Stats.incr(f"{_PREFIX}.wait.verdicts", tags=tags)
    for tier, summary in outcome.tiers.items():
        for standing in Standing:  # a gauge keeps its last value, so those without nodes are set, too
            of_standing = {"environment": environment, "tier": tier, "standing": str(standing)}
            Stats.gauge(f"{_PREFIX}.nodes", summary["counts"].get(str(standing), 0), tags=of_standing)


def measure_nudge(environment: str, seconds: float) -> None:
    """How long a command took until it had ended on the last node."""
    Stats.timing(f"{_PREFIX}.nudge.duration", timedelta(seconds=seconds), tags={"environment": environment})


def count_stale_write(environment: str) -> None:
    """A write that was refused because it was stale."""
    Stats.incr(f"{_PREFIX}.write.stale", tags={"environment": environment})


def count_takeover(environment: str) -> None:
    """A lease that was taken over from a Dag run that did not renew it."""
    Stats.incr(f"{_PREFIX}.lease.takeovers", tags={"environment": environment})


def count_frozen_wait(environment: str) -> None:
    """A task that begins to wait until a freeze ends."""
    Stats.incr(f"{_PREFIX}.freeze.waits", tags={"environment": environment})


def measure_drift(environment: str, drift: Mapping[str, TierDrift]) -> None:
    """By tier, what an audit found."""
    for tier, each in drift.items():
        tags = {"environment": environment, "tier": tier}
        Stats.gauge(f"{_PREFIX}.drift.nodes", len(each.drifted), tags=tags)
        Stats.gauge(f"{_PREFIX}.drift.unknown", int(each.is_unknown), tags=tags)
