"""Where a tier's last rollout stands, by the journal and by the tier as it is now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.standing import BROKEN, Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

_BEGINNINGS = {JournalAct.DECLARED, JournalAct.WIDENED}
_MOVES = {*_BEGINNINGS, JournalAct.PROMOTED, JournalAct.ROLLED_BACK}


class RolloutStatus(StrEnum):
    """Where a rollout stands."""

    NODES = "nodes"
    """It waits for nodes."""
    NEXT_WAVE = "next_wave"
    """Its wave is there, and the next one has not begun."""
    FAILED = "failed"
    GATE_FAILED = "gate_failed"
    REJECTED = "rejected"
    CONVERGED = "converged"
    ROLLING_BACK = "rolling_back"
    """It was rolled back or aborted, and its nodes have not all gone back."""
    ROLLBACK_FAILED = "rollback_failed"
    """Nodes failed on the way back, or were lost."""
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do; a failed one leaves its nodes as they are."""
        return self in {RolloutStatus.CONVERGED, RolloutStatus.ROLLED_BACK, RolloutStatus.ABORTED}


_STOPS = {
    JournalAct.FAILED: RolloutStatus.FAILED,
    JournalAct.GATE_FAILED: RolloutStatus.GATE_FAILED,
    JournalAct.REJECTED: RolloutStatus.REJECTED,
}
_ANSWERS = {JournalAct.GATE_FAILED, JournalAct.REJECTED, JournalAct.APPROVED}
"""What is said of the next wave, which has no assignment yet."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The last change of a tier: in waves, or of the whole tier at once.

    :param declared: what it was to give the nodes.
    :param assignment: what they are assigned now: the same, unless it was rolled back.
    :param begun_by: who declared it.
    :param wave: the one that is out, or that a gate or a person stopped; None when it is about the whole tier at once.
    :param since: ISO 8601; when it began to stand like this.
    :param reason: why it failed or was rolled back; empty without one.
    :param said_by: whose reason it is.
    """

    declared: Assignment
    assignment: Assignment
    begun_by: Writer
    wave: JournalWave | None
    status: RolloutStatus
    since: str
    reason: str
    said_by: Writer


def find_last_rollout(tier: str, status: TierStatus, entries: Sequence[JournalEntry]) -> Rollout | None:
    """The last rollout of a tier; None when the journal does not tell how the tier came to be as it is.

    :param entries: of the journal, oldest first.
    """
    desired, moves = status.desired, _find_moves(tier, entries)
    if not isinstance(desired, DesiredState) or not moves:
        return None
    last = moves[-1]
    assignment = last.tiers[tier]
    if not desired.newest.is_same_as(assignment):
        return None
    if last.act == JournalAct.ROLLED_BACK:
        return _rolled_back(tier, status, desired, entries, moves)
    begun_by = next(each.by for each in moves if _is_about(each, tier, assignment))
    if stop := _find_stop(tier, last, entries):
        wave = last.wave if stop.is_verdict else stop.wave
        return Rollout(
            assignment, assignment, begun_by, wave, _STOPS[JournalAct(stop.act)], stop.at, stop.reason, stop.by
        )
    verdict = _find_verdict(tier, last, entries)
    found = RolloutStatus.NODES
    if verdict is not None or status.newest.has_converged:
        found = RolloutStatus.CONVERGED if desired.canary is None else RolloutStatus.NEXT_WAVE
    since = last.at if verdict is None else verdict.at
    return Rollout(assignment, assignment, begun_by, last.wave, found, since, last.reason, last.by)


def find_last_move(tier: str, entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """The entry of what moved the tier last; None when the journal does not tell.

    :param entries: of the journal, oldest first.
    """
    moves = _find_moves(tier, entries)
    return moves[-1] if moves else None


def find_stop(tier: str, entries: Sequence[JournalEntry], *, begun_by: Writer) -> JournalEntry | None:
    """What stopped the rollout that a Dag run has in a tier: a wave or a gate that failed, or a rejection.

    :param entries: of the journal, oldest first.
    :param begun_by: a task of that Dag run.
    :returns: None if nothing did, or if others have moved the tier since.
    """
    moves = _find_moves(tier, entries)
    is_own = bool(moves) and moves[-1].by.is_same_run(begun_by)
    return _find_stop(tier, moves[-1], entries) if is_own else None


def _rolled_back(
    tier: str,
    status: TierStatus,
    desired: DesiredState,
    entries: Sequence[JournalEntry],
    moves: Sequence[JournalEntry],
) -> Rollout:
    """A rollout whose nodes were told to go back: by whom and why, else what stopped it; and whether they are there."""
    last, before = moves[-1], moves[:-1]
    begun = next((each for each in reversed(before) if each.act in _BEGINNINGS), last)
    stop = _find_stop(tier, before[-1], entries[: entries.index(last)]) if before else None
    said = stop if stop is not None and not last.reason else last
    verdict = _find_verdict(tier, last, entries)
    since = last.at
    if status.has_converged or (verdict is not None and verdict.act == JournalAct.CONVERGED):
        is_aborted = desired.aborted is not None and desired.aborted.by == last.by
        found = RolloutStatus.ABORTED if is_aborted else RolloutStatus.ROLLED_BACK
    elif verdict is not None:
        found, since = RolloutStatus.ROLLBACK_FAILED, verdict.at
    else:
        is_stuck = any(status.count(standing) for standing in (*BROKEN, Standing.LOST))
        found = RolloutStatus.ROLLBACK_FAILED if is_stuck else RolloutStatus.ROLLING_BACK
    return Rollout(begun.tiers[tier], last.tiers[tier], begun.by, begun.wave, found, since, said.reason, said.by)


def _find_moves(tier: str, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    return [each for each in entries if each.act in _MOVES and tier in each.tiers]


def _find_verdict(tier: str, move: JournalEntry, entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """The last verdict on what a move assigned, since."""
    since = entries[entries.index(move) :]
    return next((each for each in reversed(since) if _is_verdict(each, tier, move)), None)


def _find_stop(tier: str, move: JournalEntry, entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """The last that was said since a move of its nodes or of its Dag run's next wave, if that stopped the rollout."""
    since = entries[entries.index(move) :]
    said = (each for each in reversed(since) if _is_verdict(each, tier, move) or _is_answer(each, tier, move))
    last = next(said, None)
    return last if last is not None and last.act in _STOPS else None


def _is_verdict(entry: JournalEntry, tier: str, move: JournalEntry) -> bool:
    return entry.is_verdict and _is_about(entry, tier, move.tiers[tier])


def _is_answer(entry: JournalEntry, tier: str, move: JournalEntry) -> bool:
    return entry.act in _ANSWERS and tier in entry.scope and entry.by.is_same_run(move.by)


def _is_about(entry: JournalEntry, tier: str, assignment: Assignment) -> bool:
    return tier in entry.tiers and entry.tiers[tier].is_same_as(assignment)
