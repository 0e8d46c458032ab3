"""Judging a wait: has a tier converged, can it still, or has it failed? Pure: time and evidence are parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.count import ceiling_of, floor_of
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members, carry_over
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, Standing, Summary, judge
from airflow_provider_chefconsul.domain.verdict.verdict import Converged, Failed, Verdict, Waiting
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import MalformedDocument

_NAMED = 8  # nodes that a reason names
_NOT_SLOW = {Standing.CONVERGED, *EXCUSED}


def evaluate(snapshot: TierSnapshot, wait: Wait, policy: ConvergencePolicy, *, now: datetime) -> Verdict:
    """Judge a wait by one snapshot of its tier. The wait must have observed it: see :meth:`Wait.observe`."""
    nobody = Summary(wait.generation)
    generations = wait.generations
    match snapshot.desired:
        case None:
            return Failed("the tier has no desired state: it was never written, or the key was deleted", nobody)
        case MalformedDocument() as error:
            return Failed(str(error), nobody)
        case DesiredState() as desired:
            pass
    if wait.generation not in desired.generations:
        return Failed(describe_superseded(desired, wait.generation), nobody)
    if (other := wait.find_replaced(desired)) is not None:
        return Failed(_replaced(desired, other), nobody)
    members = carry_over(wait.seen_members, snapshot.members)
    if not members:
        return Failed("the tier has no members", nobody)
    summary = Summary(
        wait.generation,
        {
            node: judge(
                member,
                assignment,
                snapshot.evidence.get(node),
                failures_after=wait.failures_after,
                was_seen_alive=node in wait.seen_alive,
                has_converged_before=node in wait.still_converged,
                must_be_healthy=policy.min_healthy_time > timedelta(0),
            )
            for node, member in members.items()
            if (assignment := desired.assignment_for(node)).generation in generations
        },
    )
    stalled = None
    if policy.progress_deadline is not None and wait.progressed_at is not None:
        stalled = now >= wait.progressed_at + policy.progress_deadline
    is_wave = desired.canary is not None and generations == {desired.canary.assignment.generation}
    covered = len(summary.nodes) if is_wave else None
    unread = [
        node
        for node, each in snapshot.evidence.items()
        if node in summary.nodes and isinstance(each.report, MalformedDocument)
    ]
    is_late = now >= wait.deadline
    return _weigh(summary, members, policy, covered, unread, is_late=is_late, is_stalled=bool(stalled))


def _weigh(
    summary: Summary,
    members: Members,
    policy: ConvergencePolicy,
    covered: int | None,
    unread: Collection[str],
    *,
    is_late: bool,
    is_stalled: bool,
) -> Verdict:
    """Weigh what was found.

    :param covered: how many nodes a canary covers, None for a wait that is for no canary.
    :param unread: nodes whose reports cannot be read, each of which may say that it failed; lost ones are among them.
    """
    present, absent = summary.present, _find_excused(summary, members)
    failed, converged = summary.count(Standing.FAILED), summary.count(Standing.CONVERGED)
    all_present = len(members) - len(absent)
    may_fail = floor_of(policy.max_failed, all_present)
    if failed > may_fail:
        named = _name(summary.by_standing[Standing.FAILED])
        reason = f"{failed} of {all_present} members present failed ({named}); max_failed={policy.max_failed} is spent"
        return Failed(reason, summary)
    needed = max(ceiling_of(policy.min_converged, present), policy.min_members)
    if covered is not None:  # numbers that are meant for the whole tier cannot be had of a wave
        needed = min(needed, max(covered, 1))
    missing = []
    if converged < needed:
        missing.append(f"{converged} of {present} members present converged, {needed} are needed")
    earlier = summary.by_standing.get(Standing.FAILED_EARLIER, [])
    if (earlier or unread) and failed + len(earlier) + len(unread) > may_fail:
        doubts = []
        if earlier:
            doubts.append(f"{len(earlier)} failed before this try, with no success since ({_name(earlier)})")
        if unread:
            doubts.append(f"the reports of {len(unread)} cannot be read ({_name(unread)})")
        missing.append(f"of {all_present} members present, {', '.join(doubts)}; max_failed={policy.max_failed}")
    lost = summary.by_standing.get(Standing.LOST, [])
    if len(lost) > floor_of(policy.max_lost, all_present):
        named = f"{len(lost)} of {all_present} members present are lost ({_name(lost)})"
        missing.append(f"{named}: their agents are no longer alive; max_lost={policy.max_lost}")
    if unknown := summary.by_standing.get(Standing.UNKNOWN):
        missing.append(f"Consul does not know {_name(unknown)}")
    if policy.max_absent is not None and len(absent) > floor_of(policy.max_absent, len(members)):
        named = f"{len(absent)} of {len(members)} members are absent or have left ({_name(absent)})"
        missing.append(f"{named}; max_absent={policy.max_absent}")
    if not missing:
        return Converged(summary)
    if is_stalled and not is_late:
        slow = [node for standing, nodes in summary.by_standing.items() if standing not in _NOT_SLOW for node in nodes]
        named = f" ({_name(slow)})" if slow else ""
        within = f"within progress_deadline={policy.progress_deadline}"
        return Failed(f"no further node converged {within}{named}: {'; '.join(missing)}", summary)
    if is_late:
        return Failed(f"deadline passed: {'; '.join(missing)}", summary, is_timeout=True)
    return Waiting(summary)


def _find_excused(summary: Summary, members: Members) -> list[str]:
    """The members that are absent or have left; of those that are not judged, all whose agents are not alive."""
    return [
        node
        for node, member in members.items()
        if (summary.nodes[node][0] in EXCUSED if node in summary.nodes else not member.is_present)
    ]


def _name(nodes: Iterable[str]) -> str:
    ordered = sorted(nodes, key=natural_order)
    return ", ".join(ordered[:_NAMED]) + (", …" if len(ordered) > _NAMED else "")


def _replaced(desired: DesiredState, other: Assignment) -> str:
    return (
        f"generation {other.generation} is another than the one waited for: the tier was deleted or restored meanwhile "
        f"and the number given again, to state {other.state}, written by {desired.written_by} at {desired.written_at}"
    )


def describe_superseded(desired: DesiredState, generation: int) -> str:
    """What became of a generation that no node is assigned any more, and by whose doing."""
    if generation > desired.generation:
        return (
            f"generation {generation} is ahead of the desired state, which is at generation {desired.generation}: "
            f"the key was restored or rewritten by hand"
        )
    newest = desired.canary.assignment if desired.canary else desired.stable
    how = "is superseded by" if generation < newest.generation else "was taken back to"
    return (
        f"generation {generation} {how} generation {newest.generation}, state {newest.state}, "
        f"written by {desired.written_by} at {desired.written_at}"
    )
