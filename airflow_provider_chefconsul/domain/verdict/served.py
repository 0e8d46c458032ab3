"""What a tier was before, and the state in which it last served. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry


def find_before(desired: DesiredState, history: Mapping[int, DesiredState]) -> Assignment | None:
    """The stable assignment before the one that stands; None when the history does not have it."""
    entry = history.get(desired.previous) if desired.previous is not None else None
    return entry.assignment_at(desired.previous) if entry is not None and desired.previous is not None else None


def find_beginning(
    tier: str, desired: DesiredState, history: Mapping[int, DesiredState], entries: Sequence[JournalEntry]
) -> str:
    """When the stable assignment became that of all nodes, ISO 8601."""
    promoted = [
        each.at
        for each in entries
        if each.act == JournalAct.PROMOTED and tier in each.tiers and each.tiers[tier].is_same_as(desired.stable)
    ]
    return promoted[-1] if promoted else history.get(desired.stable.generation, desired).written_at


def find_left_state(
    tier: str, desired: DesiredState, history: Mapping[int, DesiredState], entries: Sequence[JournalEntry]
) -> Assignment | None:
    """What the tier last served with, if that was in another state than it is in now.

    That is where the last Dag run left it before the one that brought the tier to where it is: a tier that is off, with
    all its nodes there, has done what it was told, and does not serve. No Dag run has left it there before: one that is
    off every night does so as planned. What a person did by hand says nothing of what the tier is for.

    :param entries: of the journal, oldest first.
    """
    brought_by = history.get(desired.stable.generation, desired).written_by
    ends: dict[tuple[str, str], Assignment] = {}  # by Dag run, the newest first
    for each in reversed(entries):
        is_end = each.act == JournalAct.CONVERGED and each.wave is None and tier in each.tiers
        if is_end and not each.by.is_person and not each.by.is_same_run(brought_by):
            ends.setdefault((each.by.dag_id, each.by.run_id), each.tiers[tier])
    if desired.stable.state in {end.state for end in ends.values()}:
        return None
    return next(iter(ends.values()), None)
