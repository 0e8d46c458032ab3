"""What is said of a tier: what is desired, how many members are there, and what holds it up as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.freeze import explain_freeze
from airflow_provider_chefconsul.domain.explanation.orphan import explain_orphan
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.freeze import NOT_FROZEN, Freeze
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import ago, read_moment
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus
from airflow_provider_chefconsul.exceptions import UnknownSchema

_NAMED = 8  # nodes that a line names for each standing


@dataclass(frozen=True, slots=True)
class TierExplanation:
    """Where a tier stands, in words.

    :param headline: what is desired, and how many members are there: "off" with all in place serves nobody.
    :param written: who wrote the desired state, and when; empty when there is none.
    :param obstacles: what holds the tier up as a whole, with what to do about it.
    :param orphaned: that of them which says who left a canary out; empty when nobody did.
    """

    headline: str
    written: str = ""
    obstacles: tuple[str, ...] = ()
    orphaned: str = ""


def explain_tier(
    environment: str,
    tier: str,
    status: TierStatus,
    *,
    now: datetime,
    lease: Lease | Unreadable | None = None,
    freeze: Freeze | Unreadable = NOT_FROZEN,
    orphan: RunEnd | None = None,
) -> TierExplanation:
    """Explain a tier, but none of its nodes.

    :param lease: what stands under the environment's lease key.
    :param freeze: what stands under its freeze key.
    :param orphan: how the Dag run ended that left its canary out, if it did.
    """
    desired = status.desired
    explained = explain_desired(environment, tier, desired, now=now, lease=lease, freeze=freeze)
    if not isinstance(desired, DesiredState):
        return explained
    converged = f"{status.count(Standing.CONVERGED)} of {len(status.nodes)} members converged"
    orphaned = "" if orphan is None else explain_orphan(orphan, now=now)
    return replace(
        explained,
        headline=f"{environment}/{tier}: {describe_assignments(desired)}; {converged}",
        obstacles=(*_explain_members(status), *_explain_canary(desired, status, orphaned), *explained.obstacles),
        orphaned=orphaned,
    )


def explain_desired(
    environment: str,
    tier: str,
    desired: DesiredState | Unreadable | None,
    *,
    now: datetime,
    lease: Lease | Unreadable | None = None,
    freeze: Freeze | Unreadable = NOT_FROZEN,
) -> TierExplanation:
    """Explain what is desired of a tier, whatever has become of it.

    :param lease: what stands under the environment's lease key.
    :param freeze: what stands under its freeze key.
    """
    tier_path = f"{environment}/{tier}"
    held = [*explain_freeze(environment, tier, freeze, now=now), *_explain_lease(lease, now)]
    match desired:
        case None:
            missing = "nobody has declared it, or its key was deleted: SetDesiredStateOperator declares it"
            return TierExplanation(f"{tier_path}: no desired state", "", (missing, *held))
        case Unreadable() as unreadable:
            advice = str(unreadable)
            if not issubclass(unreadable.kind, UnknownSchema):
                advice += "; put back the newest document of the tier's history"
            return TierExplanation(f"{tier_path}: its desired state cannot be read", "", (advice, *held))
        case DesiredState():
            when = ago(read_moment(desired.written_at), now) or desired.written_at
            written = f"written by {desired.written_by}, {when}"
            return TierExplanation(f"{tier_path}: {describe_assignments(desired)}", written, tuple(held))


def describe_assignments(desired: DesiredState) -> str:
    """What is desired, in one line."""
    if desired.canary is None:
        return f"assigned {desired.stable.describe()}"
    return f"canary assigned {desired.canary.assignment.describe()}, the others {desired.stable.describe()}"


def describe_counts(status: TierStatus) -> str:
    """How many have converged, and who has not: a line that changes only when a standing does."""
    converged = f"{status.count(Standing.CONVERGED)} of {len(status.nodes)} members converged"
    return ", ".join([converged, *_list(status, EXCUSED), *_list(status, _HOLDING_UP)])


_HOLDING_UP = frozenset(Standing) - EXCUSED - {Standing.CONVERGED}


def _list(status: TierStatus, standings: Iterable[Standing]) -> list[str]:
    """By standing, how many stand so, and who: "2 failed (web-1, web-2)"."""
    return [
        f"{len(nodes)} {standing} ({list_some(nodes, _NAMED)})"
        for standing, nodes in status.by_standing.items()
        if standing in standings
    ]


def _explain_members(status: TierStatus) -> list[str]:
    if not status.nodes:
        others = f" and {len(status.strangers) - 1} more report" if len(status.strangers) > 1 else " reports"
        strangers = (
            f"; yet {status.strangers[0]}{others} in it: check how members are named" if status.strangers else ""
        )
        return [f"it has no members: Consul lists no node for it, so nobody can converge{strangers}"]
    obstacles = []
    if waiting := _list(status, _HOLDING_UP):
        obstacles.append(f"held up by {', '.join(waiting)}")
    if excused := _list(status, EXCUSED):
        obstacles.append(f"excused, since they were not there: {', '.join(excused)}")
    return obstacles


def _explain_canary(desired: DesiredState, status: TierStatus, orphaned: str) -> list[str]:
    canary = desired.canary
    if canary is None:
        return []
    covered = sum(node.is_assigned(canary.assignment.generation) for node in status.nodes.values())
    out = f"a canary is out on {covered} of {len(status.nodes)} members"
    return [out, orphaned] if orphaned else [f"{out}; promote it to give it to all, or abort its rollout"]


def _explain_lease(lease: Lease | Unreadable | None, now: datetime) -> list[str]:
    match lease:
        case None:
            return []
        case Unreadable() as unreadable:
            return [f"the environment's lease cannot be read, so nobody may write: {unreadable}"]
        case Lease() as standing:
            when = ago(read_moment(standing.acquired_at), now) or standing.acquired_at
            why = f" ({standing.reason})" if standing.reason else ""
            return [f"lease held by {standing.holder}, acquired {when}{why}: only that Dag run may write"]
