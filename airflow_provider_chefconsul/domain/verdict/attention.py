"""Whether a tier needs a person. Pure; time is a parameter."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.slow import LATE_AFTER, find_slow
from airflow_provider_chefconsul.domain.verdict.standing import BROKEN, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


class Attention(StrEnum):
    """Why a tier needs a person."""

    UNUSABLE = "unusable"
    """Its desired state is missing or cannot be read, or it has no members."""
    BROKEN_NODES = "broken_nodes"
    LOST_NODES = "lost_nodes"
    FAILED_ROLLOUT = "failed_rollout"
    STOPPED_ROLLOUT = "stopped_rollout"
    """By a gate that failed, or by a person who rejected its next wave."""
    FAILED_ROLLBACK = "failed_rollback"
    ORPHANED = "orphaned"
    """Its canary is out, and the Dag run that rolls it has ended."""
    FROZEN_ROLLOUT = "frozen_rollout"
    """In the middle of it."""
    LATE = "late"
    """Its nodes are not there after a long time, or the run of one takes far longer than that of the others."""


_STOPPED = {
    RolloutStatus.GATE_FAILED: Attention.STOPPED_ROLLOUT,
    RolloutStatus.REJECTED: Attention.STOPPED_ROLLOUT,
    RolloutStatus.ROLLBACK_FAILED: Attention.FAILED_ROLLBACK,
}


def find_attention(
    status: TierStatus, rollout: Rollout | None, *, is_orphaned: bool, is_frozen: bool, now: datetime
) -> Attention | None:
    """Why a tier needs a person, the gravest first; None when it does not."""
    if not isinstance(status.desired, DesiredState) or not status.nodes:
        return Attention.UNUSABLE
    if any(status.count(standing) for standing in BROKEN):
        return Attention.BROKEN_NODES
    if status.count(Standing.LOST):
        return Attention.LOST_NODES
    if rollout is None or rollout.status.has_ended:
        return Attention.ORPHANED if is_orphaned else None  # the journal may have forgotten the rollout
    if rollout.status == RolloutStatus.FAILED and not status.newest.has_converged:
        return Attention.FAILED_ROLLOUT
    if rollout.status in _STOPPED:
        return _STOPPED[rollout.status]
    if is_orphaned:
        return Attention.ORPHANED
    if is_frozen:
        return Attention.FROZEN_ROLLOUT
    if rollout.status not in {RolloutStatus.NODES, RolloutStatus.ROLLING_BACK}:
        return None  # an approval may take its time
    since = read_moment(rollout.since)
    is_late = since is not None and now - since > LATE_AFTER
    return Attention.LATE if is_late or find_slow(status, now=now) else None
