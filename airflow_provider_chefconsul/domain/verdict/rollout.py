"""Where a tier's last rollout stands, by the journal and by the tier as it is now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.writer import Writer
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
    CONVERGED = "converged"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do; a failed one leaves its nodes as they are."""
        return self in {RolloutStatus.CONVERGED, RolloutStatus.ROLLED_BACK, RolloutStatus.ABORTED}


@dataclass(frozen=True, slots=True)
class Rollout:
    """The last change of a tier: in waves, or of the whole tier at once.

    :param declared: what it was to give the nodes.
    :param assignment: what they are assigned now: the same, unless it was rolled back.
    :param begun_by: who declared it.
    :param wave: None when it is about the whole tier at once.
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
    desired = status.desired
    moves = [each for each in entries if each.act in _MOVES and tier in each.tiers]
    if not isinstance(desired, DesiredState) or not moves:
        return None
    last = moves[-1]
    assignment = last.tiers[tier]
    if not desired.newest.is_same_as(assignment):
        return None
    if last.act == JournalAct.ROLLED_BACK:
        return _rolled_back(tier, desired, entries, moves)
    begun_by = next(each.by for each in moves if _is_about(each, tier, assignment))
    verdict = _find_verdict(tier, assignment, entries[entries.index(last) :])
    if verdict is not None and verdict.act == JournalAct.FAILED:
        return Rollout(
            assignment, assignment, begun_by, last.wave, RolloutStatus.FAILED, verdict.at, verdict.reason, verdict.by
        )
    found = RolloutStatus.NODES
    if verdict is not None or status.newest.has_converged:
        found = RolloutStatus.CONVERGED if desired.canary is None else RolloutStatus.NEXT_WAVE
    since = last.at if verdict is None else verdict.at
    return Rollout(assignment, assignment, begun_by, last.wave, found, since, last.reason, last.by)


def _rolled_back(
    tier: str, desired: DesiredState, entries: Sequence[JournalEntry], moves: Sequence[JournalEntry]
) -> Rollout:
    """A rollout whose nodes went back: by whom and why, else why it failed."""
    last, before = moves[-1], moves[:-1]
    begun = next((each for each in reversed(before) if each.act in _BEGINNINGS), last)
    failed = _find_verdict(tier, begun.tiers[tier], entries[entries.index(begun) : entries.index(last)])
    said = failed if failed is not None and failed.act == JournalAct.FAILED and not last.reason else last
    is_aborted = desired.aborted is not None and desired.aborted.by == last.by
    found = RolloutStatus.ABORTED if is_aborted else RolloutStatus.ROLLED_BACK
    return Rollout(begun.tiers[tier], last.tiers[tier], begun.by, begun.wave, found, last.at, said.reason, said.by)


def _find_verdict(tier: str, assignment: Assignment, entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """The last verdict on an assignment."""
    found = (each for each in reversed(entries) if each.is_verdict and _is_about(each, tier, assignment))
    return next(found, None)


def _is_about(entry: JournalEntry, tier: str, assignment: Assignment) -> bool:
    return tier in entry.tiers and entry.tiers[tier].is_same_as(assignment)
