"""What is said of a rollout and of a tier that needs a person. It names no Dag, so everybody may read it."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.attention import Attention
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.standing import BROKEN, EXCUSED, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_NAMED = 4  # nodes
_ATTENTION = {
    Attention.UNUSABLE: "cannot be used",
    Attention.BROKEN_NODES: "nodes failed",
    Attention.LOST_NODES: "nodes were lost",
    Attention.FAILED_ROLLOUT: "the rollout failed",
    Attention.STOPPED_ROLLOUT: "stopped before its next wave",
    Attention.FAILED_ROLLBACK: "the rollback failed",
    Attention.ORPHANED: "orphaned in the middle of a rollout",
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
        case RolloutStatus.ROLLING_BACK:
            return f"going back to {describe_content(rollout.assignment)}"
        case RolloutStatus.ROLLBACK_FAILED:
            return f"the rollback to {describe_content(rollout.assignment)} failed"
        case RolloutStatus.GATE_FAILED:
            return "its gate failed"
        case RolloutStatus.REJECTED:
            return "rejected"
        case RolloutStatus.CONVERGED:
            return "in place"  # a tier that is off has converged, too
        case RolloutStatus.FAILED:
            return "failed"


def describe_wait(rollout: Rollout, status: TierStatus, *, is_frozen: bool) -> str:
    """What a rollout waits for, or what to do about it; empty when it has converged.

    Open approvals, gates and change windows are Airflow's, and Consul does not know them.
    """
    frozen = "the end of the freeze"
    match rollout.status:
        case RolloutStatus.NODES if is_frozen and _has_more(rollout):
            return f"waits for {_describe_waiting(status.newest)}; then for {frozen}"
        case RolloutStatus.NODES | RolloutStatus.ROLLING_BACK:
            return f"waits for {_describe_waiting(status.newest)}"
        case RolloutStatus.ROLLBACK_FAILED:
            return f"waits for {_describe_waiting(status.newest)}: fix them, then run chef-client on them"
        case RolloutStatus.NEXT_WAVE if is_frozen:
            return f"waits for {frozen}"
        case RolloutStatus.NEXT_WAVE if _has_more(rollout):
            return "waits for the next wave: see the Dag run for an approval, a gate or a change window"
        case RolloutStatus.NEXT_WAVE:
            return "waits for somebody to promote or abort it"
        case _:
            return _describe_action(rollout, status)


def _describe_action(rollout: Rollout, status: TierStatus) -> str:
    """What a person can do about a rollout that was stopped or taken back; empty when it has converged."""
    match rollout.status:
        case RolloutStatus.FAILED if status.newest.has_converged:
            return "its nodes are in place by now: clear the failed task to go on"
        case RolloutStatus.FAILED:
            return f"fix the nodes and clear the failed task, or {_way_back(status)}"
        case RolloutStatus.GATE_FAILED:
            return f"clear the gate's task to ask again, or {_way_out(status)}"
        case RolloutStatus.REJECTED:
            return f"{_way_out(status)}; until then its nodes keep what they have"
        case RolloutStatus.ROLLED_BACK | RolloutStatus.ABORTED:
            is_back = status.newest.has_converged  # a policy may let some nodes fail
            nodes = "all nodes are back" if is_back else f"not back: {_describe_waiting(status.newest)}"
            return f"{nodes}; find out why, then trigger the Dag again"
        case _:
            return ""


def _has_more(rollout: Rollout) -> bool:
    return rollout.wave is not None and rollout.wave.has_next


def _way_back(status: TierStatus) -> str:
    """What the board's button is called that takes the nodes back."""
    has_canary = isinstance(status.desired, DesiredState) and status.desired.canary is not None
    return "abort" if has_canary else "roll back"


def _way_out(status: TierStatus) -> str:
    way_back = _way_back(status)
    return "promote or abort" if way_back == "abort" else way_back


def _describe_waiting(status: TierStatus) -> str:
    """The nodes that hold it up, those first that somebody must look at."""
    by_standing = {
        standing: names
        for standing, names in status.by_standing.items()
        if standing not in EXCUSED and standing != Standing.CONVERGED
    }
    amiss = {*BROKEN, Standing.LOST}
    waiting = [
        f"{name} {standing.replace('_', ' ')}" if standing in amiss else name
        for standing in sorted(by_standing, key=lambda each: each not in amiss)
        for name in by_standing[standing]
    ]
    if not waiting:
        return "its check of the nodes"
    return f"{len(waiting)} of {len(status.nodes)} nodes ({list_some(waiting, _NAMED)})"
