"""Whether a tier needs a person. Pure; time is a parameter."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

LATE_AFTER = timedelta(minutes=15)
"""A rollout whose nodes are not there by then needs somebody to look."""
_BROKEN = (Standing.FAILED, Standing.MALFORMED, Standing.WRONG_STATE)


class Attention(StrEnum):
    """Why a tier needs a person."""

    UNUSABLE = "unusable"
    """Its desired state is missing or cannot be read, or it has no members."""
    BROKEN_NODES = "broken_nodes"
    LOST_NODES = "lost_nodes"
    FAILED_ROLLOUT = "failed_rollout"
    FROZEN_ROLLOUT = "frozen_rollout"
    """In the middle of it."""
    LATE = "late"


def find_attention(status: TierStatus, rollout: Rollout | None, *, is_frozen: bool, now: datetime) -> Attention | None:
    """Why a tier needs a person, the gravest first; None when it does not."""
    if not isinstance(status.desired, DesiredState) or not status.nodes:
        return Attention.UNUSABLE
    if any(status.count(standing) for standing in _BROKEN):
        return Attention.BROKEN_NODES
    if status.count(Standing.LOST):
        return Attention.LOST_NODES
    if rollout is None or rollout.status.has_ended:
        return None
    if rollout.status == RolloutStatus.FAILED and not status.newest.has_converged:
        return Attention.FAILED_ROLLOUT
    if is_frozen:
        return Attention.FROZEN_ROLLOUT
    since = read_moment(rollout.since)
    is_late = rollout.status == RolloutStatus.NODES and since is not None and now - since > LATE_AFTER
    return Attention.LATE if is_late else None
