"""Weighing a tier's status against a policy: it has converged, it still can, or it has failed."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_NAMED = 8  # nodes that a reason names
_MAY_BE_UNREAD = (Standing.MALFORMED, Standing.LOST)  # where `judge` puts members whose reports cannot be read
_NOT_SLOW = {Standing.CONVERGED, *EXCUSED}


@dataclass(frozen=True, slots=True)
class Converged:
    """The policy is met."""

    status: TierStatus


@dataclass(frozen=True, slots=True)
class Waiting:
    """The policy is not met yet, but still can be."""

    status: TierStatus


@dataclass(frozen=True, slots=True)
class Failed:
    """The wait has failed; ``is_timeout`` when its deadline passed without another verdict."""

    reason: str
    status: TierStatus
    is_timeout: bool = False


Verdict = Converged | Waiting | Failed


def weigh(
    status: TierStatus,
    members: Members,
    policy: ConvergencePolicy,
    *,
    is_wave: bool = False,
    is_late: bool = False,
    is_stalled: bool = False,
) -> Verdict:
    """Weigh a tier's status against a policy.

    :param status: of the members that are waited for.
    :param members: all members of the tier, to which the budgets apply.
    :param is_wave: whether the wait is for a canary's nodes, which may be fewer than the policy requires of a tier.
    :param is_late: whether the deadline has passed.
    :param is_stalled: whether no further node converged for longer than the policy's ``progress_deadline``.
    """
    excused = _find_excused(status, members)
    all_present = len(members) - len(excused)
    failed, may_fail = status.by_standing.get(Standing.FAILED, []), policy.max_failed.at_most(all_present)
    if len(failed) > may_fail:
        return Failed(
            f"{len(failed)} of {all_present} members present failed ({list_some(failed, _NAMED)}); "
            f"max_failed={policy.max_failed} is spent",
            status,
        )
    missing = [
        *_too_few_converged(status, policy, is_wave=is_wave),
        *_possible_failures(status, policy, all_present, len(failed), may_fail),
        *_too_many_lost(status, policy, all_present),
        *_unknown(status),
        *_too_many_absent(excused, policy, len(members)),
    ]
    if not missing:
        return Converged(status)
    if is_late:
        return Failed(f"deadline passed: {'; '.join(missing)}", status, is_timeout=True)
    if is_stalled:
        slow = [name for name, node in status.nodes.items() if node.standing not in _NOT_SLOW]
        named = f" ({list_some(slow, _NAMED)})" if slow else ""
        within = f"within progress_deadline={policy.progress_deadline}"
        return Failed(f"no further node converged {within}{named}: {'; '.join(missing)}", status)
    return Waiting(status)


def _find_excused(status: TierStatus, members: Members) -> list[str]:
    """The members that are absent or have left, including members that are not judged and not alive."""
    excused = [name for standing in EXCUSED for name in status.by_standing.get(standing, ())]
    if len(status.nodes) < len(members):
        excused += [name for name, each in members.items() if name not in status.nodes and not each.is_present]
    return sorted(excused, key=natural_order)


def _too_few_converged(status: TierStatus, policy: ConvergencePolicy, *, is_wave: bool) -> list[str]:
    present, converged = status.present, status.count(Standing.CONVERGED)
    needed = max(policy.min_converged.at_least(present), policy.min_members)
    if is_wave:
        needed = min(needed, max(len(status.nodes), 1))
    if converged >= needed:
        return []
    return [f"{converged} of {present} members present converged, {needed} are needed"]


def _possible_failures(
    status: TierStatus, policy: ConvergencePolicy, all_present: int, failed: int, may_fail: int
) -> list[str]:
    """Failures before this try, and unreadable reports, each of which may be of a failure."""
    earlier = status.by_standing.get(Standing.FAILED_EARLIER, [])
    may_be = [name for standing in _MAY_BE_UNREAD for name in status.by_standing.get(standing, ())]
    unread = sorted((name for name in may_be if status.nodes[name].unreadable), key=natural_order)
    if not (earlier or unread) or failed + len(earlier) + len(unread) <= may_fail:
        return []
    doubts = []
    if earlier:
        doubts.append(f"{len(earlier)} failed before this try, with no success since ({list_some(earlier, _NAMED)})")
    if unread:
        doubts.append(f"the reports of {len(unread)} cannot be read ({list_some(unread, _NAMED)})")
    return [f"of {all_present} members present, {', '.join(doubts)}; max_failed={policy.max_failed}"]


def _too_many_lost(status: TierStatus, policy: ConvergencePolicy, all_present: int) -> list[str]:
    lost = status.by_standing.get(Standing.LOST, [])
    if len(lost) <= policy.max_lost.at_most(all_present):
        return []
    named = f"{len(lost)} of {all_present} members present are lost ({list_some(lost, _NAMED)})"
    return [f"{named}: their agents are no longer alive; max_lost={policy.max_lost}"]


def _unknown(status: TierStatus) -> list[str]:
    unknown = status.by_standing.get(Standing.UNKNOWN)
    return [f"Consul does not know {list_some(unknown, _NAMED)}"] if unknown else []


def _too_many_absent(excused: list[str], policy: ConvergencePolicy, members: int) -> list[str]:
    if policy.max_absent is None or len(excused) <= policy.max_absent.at_most(members):
        return []
    named = f"{len(excused)} of {members} members are absent or have left ({list_some(excused, _NAMED)})"
    return [f"{named}; max_absent={policy.max_absent}"]
