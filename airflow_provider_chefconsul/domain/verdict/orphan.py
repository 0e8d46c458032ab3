"""Whether a rollout was left in the middle: its canary is out, and the Dag run that rolled it has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.rollout import find_last_move


class RunFate(StrEnum):
    """How a Dag run came to its end."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    GONE = "gone"
    """Airflow knows its Dag, and not the run: it was deleted, or it is another Airflow's."""
    FENCED = "fenced"
    """It lost the environment's lease, so Consul refuses what it writes."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a Dag run; one that goes on, or of which nothing is known, has none.

    :param at: when it ended, where somebody knows.
    """

    run: DagRun
    fate: RunFate
    at: datetime | None = None


def find_roller(desired: DesiredState | Unreadable | None) -> DagRun | None:
    """The Dag run whose canary is out; None when there is no canary, or a person's."""
    if not isinstance(desired, DesiredState) or desired.canary is None or desired.written_by.is_person:
        return None
    return DagRun.of(desired.written_by)


def find_runs_to_ask_for(
    tiers: Iterable[DesiredState | Unreadable | None], lease: Lease | Unreadable | None
) -> set[DagRun]:
    """The Dag runs whose canaries are out, and the one that holds the environment; none without a canary."""
    rollers = {roller for desired in tiers if (roller := find_roller(desired)) is not None}
    return rollers | {lease.holder} if rollers and isinstance(lease, Lease) else rollers


def find_orphan(
    tier: str,
    desired: DesiredState | Unreadable | None,
    ends: Mapping[DagRun, RunEnd],
    *,
    entries: Sequence[JournalEntry],
    lease: Lease | Unreadable | None,
) -> RunEnd | None:
    """How the Dag run ended whose rollout of this tier stands still since; None when it does not.

    A run that succeeded has left nothing, unless its rollout had another wave: a Dag may leave a canary to another Dag.
    While a run holds the environment that has not ended, the rollout is that run's: it may have repeated the waves of
    an earlier run, which changes nothing, the writer neither.

    :param ends: how those of :func:`find_runs_to_ask_for` ended that did.
    :param entries: of the journal, oldest first; they matter only for runs that succeeded.
    """
    roller = find_roller(desired)
    end = None if roller is None else ends.get(roller)
    if end is None or _is_held(lease, ends):
        return None
    if end.fate is not RunFate.SUCCEEDED:
        return end
    move = find_last_move(tier, entries)
    return end if move is not None and move.wave is not None and move.wave.has_next else None


def _is_held(lease: Lease | Unreadable | None, ends: Mapping[DagRun, RunEnd]) -> bool:
    """Whether a Dag run holds the environment that has not ended, be it another Airflow's."""
    if not isinstance(lease, Lease):
        return False
    end = ends.get(lease.holder)
    return end is None or end.fate is RunFate.GONE
