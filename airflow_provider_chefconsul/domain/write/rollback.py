"""Deciding a rollback: which content a tier goes back to. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState, Writer
from airflow_provider_chefconsul.domain.write.change import Decision, Refused, Unchanged, Write, find_stale
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class RollBack:
    """The one intended way back.

    :param to: a generation, or ``"previous"``: what stood before the desired state that stands, or without its canary.
    :param sequence: as in a change: a rollback older than what stands is stale, too.
    :param only_own: refuse to take back what another Dag run wrote.
    :param generation: refuse to take back anything but this generation; None is whatever stands.
    """

    writer: Writer
    to: int | Literal["previous"] = "previous"
    sequence: int | None = None
    only_own: bool = False
    generation: int | None = None


def check_target(to: object) -> int | Literal["previous"]:
    """Return where a rollback goes when it is "previous" or a generation; a templated number is text.

    :raises InvalidInput: it is neither.
    """
    if to == "previous":
        return "previous"
    number = to if type(to) is int else parse_number(to)
    if number is not None and number > 0:
        return number
    raise InvalidInput(f'to must be "previous" or a generation, not {to!r}')


def plan_rollback(
    current: DesiredState | None,
    rollback: RollBack,
    history: Mapping[int, DesiredState],
    *,
    written_at: str,
    newest_generation: int = 0,
    new_id: str | None = None,
) -> Decision:
    """Decide what a rollback means for a tier.

    While a canary is out, going back to the stable content only takes the canary back: its nodes return to the
    generation that all others have kept, and those do nothing. Otherwise the old content becomes a new generation.
    Going back twice goes further back.

    :param current: what stands now.
    :param history: by generation, the desired state as it was first written.
    :param newest_generation: the newest in the history, also of those that cannot be read.
    :param new_id: the id of the assignment, should this make one.
    """
    if current is None:
        return Refused("the tier has no desired state, so there is nothing to roll back")
    if current.written_by == rollback.writer:
        return Unchanged(current.stable.generation)
    if stale := find_stale(current, rollback.sequence):
        return stale
    if rollback.only_own and not current.written_by.is_same_run(rollback.writer):
        return Refused(
            f"generation {current.generation} was written by {current.written_by}, so there is nothing of this Dag run "
            f"to take back",
            is_stale=True,
        )
    newest = current.canary.assignment.generation if current.canary else current.stable.generation
    if rollback.generation is not None and rollback.generation != newest:
        return Refused(f"generation {newest} stands, so there is no {rollback.generation} to take back", is_stale=True)
    sequence = max((each for each in (current.sequence, rollback.sequence) if each is not None), default=None)
    signed = replace(current, written_by=rollback.writer, written_at=written_at, sequence=sequence)
    kept: Decision = Unchanged(current.stable.generation)
    if current.canary is not None:
        kept = Write(replace(signed, canary=None), current.stable.generation, is_new=False)
    if rollback.to == current.stable.generation or (rollback.to == "previous" and current.canary is not None):
        return kept
    target = _find_previous(current, history) if rollback.to == "previous" else rollback.to
    if target is None:
        return Refused(f"generation {current.stable.generation} has no earlier content to go back to")
    entry = history.get(target)
    if entry is None:
        return Refused(f"generation {target} is not in the tier's history, which holds {_describe(history)}")
    content = assignment_of(entry, target)
    if current.stable.has_content(content.state, content.values):
        return kept
    generation = max([current.generation, newest_generation, *history]) + 1
    desired = replace(
        signed,
        generation=generation,
        stable=Assignment(generation, content.state, content.values, new_id),
        canary=None,
        previous=previous_of(entry, target),
    )
    return Write(desired, generation)


def assignment_of(entry: DesiredState, generation: int) -> Assignment:
    """The assignment that began with the history entry of that generation."""
    if entry.canary is not None and entry.canary.assignment.generation == generation:
        return entry.canary.assignment
    return entry.stable


def previous_of(entry: DesiredState, generation: int) -> int | None:
    """The stable generation before the one that began with that history entry; a canary's is the one beside it."""
    if entry.canary is not None and entry.canary.assignment.generation == generation:
        return entry.stable.generation
    return entry.previous


def _find_previous(current: DesiredState, history: Mapping[int, DesiredState]) -> int | None:
    """The newest earlier stable generation with another content; one that is not in the history ends the search."""
    target = current.previous
    while target is not None and (entry := history.get(target)) is not None:
        content = assignment_of(entry, target)
        if not current.stable.has_content(content.state, content.values):
            break
        earlier = previous_of(entry, target)
        target = earlier if earlier is not None and earlier < target else None
    return target


def _describe(history: Mapping[int, DesiredState]) -> str:
    return f"generations {min(history)} to {max(history)}" if history else "nothing"
