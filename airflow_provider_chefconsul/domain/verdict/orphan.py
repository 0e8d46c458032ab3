"""Whether a rollout was left in the middle: its canary is out, and the Dag run that rolled it has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.rollout import find_last_move


class RunFate(StrEnum):
    """How a Dag run came to its end."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    GONE = "gone"
    """Airflow knows its Dag, but not the run (any more)."""
    FENCED = "fenced"
    """It lost the environment's lease, so Consul refuses what it writes."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a Dag run; one that goes on, or of which nothing is known, has none.

    :param at: when it ended, where somebody knows.
    """

    fate: RunFate
    at: datetime | None = None


def find_roller(desired: DesiredState | Unreadable | None) -> DagRun | None:
    """The Dag run whose canary is out; None when there is no canary, or a person's."""
    if not isinstance(desired, DesiredState) or desired.canary is None or desired.written_by.is_person:
        return None
    return DagRun.of(desired.written_by)


def find_rollers(tiers: Iterable[DesiredState | Unreadable | None]) -> set[DagRun]:
    """The Dag runs whose canaries are out."""
    return {roller for desired in tiers if (roller := find_roller(desired)) is not None}


def find_orphan(
    tier: str,
    desired: DesiredState | Unreadable | None,
    ends: Mapping[DagRun, RunEnd],
    entries: Sequence[JournalEntry],
) -> RunEnd | None:
    """How the Dag run ended whose rollout of this tier stands still since; None when it does not.

    A run that succeeded has left nothing, unless its rollout had another wave: a Dag may leave a canary to another Dag.

    :param ends: how those of :func:`find_rollers` ended that did.
    :param entries: of the journal, oldest first; they matter only for runs that succeeded.
    """
    roller = find_roller(desired)
    end = None if roller is None else ends.get(roller)
    if end is None or end.fate is not RunFate.SUCCEEDED:
        return end
    move = find_last_move(tier, entries)
    return end if move is not None and move.wave is not None and move.wave.has_next else None
