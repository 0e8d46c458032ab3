"""What is said of a rollout and of a tier that needs a person. It names no Dag, so everybody may read it."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.attention import Attention
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_NAMED = 4  # nodes
_ATTENTION = {
    Attention.UNUSABLE: "cannot be used",
    Attention.BROKEN_NODES: "nodes failed",
    Attention.LOST_NODES: "nodes were lost",
    Attention.FAILED_ROLLOUT: "the rollout failed",
    Attention.FROZEN_ROLLOUT: "frozen in the middle of a rollout",
    Attention.LATE: "takes long",
}


def describe_attention(attention: Attention) -> str:
    """Why a tier needs a person, in a few words."""
    return _ATTENTION[attention]


def describe_content(assignment: Assignment) -> str:
    """The state and, where it has one, the release: "converged 2.5.0"."""
    release = assignment.values.get("release")
    return assignment.state if release is None else f"{assignment.state} {release}"


def describe_verdict(rollout: Rollout) -> str:
    """Where a rollout stands, in a few words."""
    match rollout.status:
        case RolloutStatus.NODES:
            return "going on"
        case RolloutStatus.NEXT_WAVE if rollout.wave is not None and rollout.wave.number is not None:
            return f"wave {rollout.wave.number} is in place"
        case RolloutStatus.NEXT_WAVE:
            return "the canary is in place"
        case RolloutStatus.ROLLED_BACK | RolloutStatus.ABORTED as ended:
            act = "aborted" if ended == RolloutStatus.ABORTED else "rolled back"
            return f"{act}, now {describe_content(rollout.assignment)}"
        case RolloutStatus.CONVERGED:
            return "in place"  # a tier that is off has converged, too
        case RolloutStatus.FAILED:
            return "failed"


def describe_wait(rollout: Rollout, status: TierStatus, *, is_frozen: bool) -> str:
    """What a rollout waits for; empty when it has ended.

    Approvals, gates and change windows are Airflow's, and Consul does not know them.
    """
    frozen = "the end of the freeze"
    match rollout.status:
        case RolloutStatus.NODES:
            waiting = _find_waiting(status.newest)
            nodes = f"{len(waiting)} of {len(status.newest.nodes)} nodes ({list_some(waiting, _NAMED)})"
            after = f"; then for {frozen}" if is_frozen and _has_more(rollout) else ""
            return f"waits for {nodes if waiting else 'its check of the nodes'}{after}"
        case RolloutStatus.NEXT_WAVE if is_frozen:
            return f"waits for {frozen}"
        case RolloutStatus.NEXT_WAVE if _has_more(rollout):
            return "waits for the next wave: see the Dag run for an approval, a gate or a change window"
        case RolloutStatus.NEXT_WAVE:
            return "waits for somebody to promote it or to roll it back"
        case RolloutStatus.FAILED if status.newest.has_converged:
            return "its nodes are in place by now: clear the failed task to go on"
        case RolloutStatus.FAILED:
            return "waits for somebody to mend it or to roll it back"
        case _:
            return ""


def _has_more(rollout: Rollout) -> bool:
    wave = rollout.wave
    return wave is not None and wave.number is not None and wave.number != wave.of


def _find_waiting(status: TierStatus) -> list[str]:
    """The nodes that hold it up."""
    return [
        name
        for standing, names in status.by_standing.items()
        if standing not in EXCUSED and standing != Standing.CONVERGED
        for name in names
    ]
