"""Deciding a rollback: which content a tier goes back to. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import Aborted, Assignment, Canary, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Unchanged, Write, find_stale
from airflow_provider_chefconsul.exceptions import InvalidInput

Target = int | Literal["previous", "last_good"]


@dataclass(frozen=True, slots=True)
class RollBack:
    """A requested rollback.

    :param to: a generation; ``"previous"``: the content before the current one, or without the canary; or
        ``"last_good"``: the content of the newest earlier generation on which the whole tier converged.
    :param state: the state of the last good generation; None is the state that the tier is in.
    :param sequence: as in a change, with the same refusal of stale ones.
    :param only_own: refuse to roll back what another Dag run wrote.
    :param tasks: refuse to roll back what other tasks, or other map indexes, of this Dag run wrote; None allows any.
    :param generation: refuse to roll back any other generation; None allows any.
    :param despite_freeze: also roll back a frozen tier.
    :param reason: for the journal.
    """

    writer: Writer
    to: Target = "previous"
    sequence: int | None = None
    only_own: bool = False
    tasks: frozenset[str] | None = None
    generation: int | None = None
    state: str | None = None
    despite_freeze: bool = False
    reason: str = ""


def parse_target(to: object) -> Target:
    """Parse where a rollback goes: "last_good", "previous" or a generation, which is text when it was templated.

    :raises InvalidInput: none of them.
    """
    if to in ("previous", "last_good"):
        return to
    number = to if type(to) is int else parse_number(to)
    if number is not None and number > 0:
        return number
    raise InvalidInput(f'to must be "last_good", "previous" or a generation, not {to!r}')


def plan_rollback(basis: Basis, rollback: RollBack) -> Decision:
    """Decide what a rollback means for a tier.

    While a canary is out, going back to the stable content only rolls the canary back: its nodes return to the
    generation that all others have kept, and those do nothing. Otherwise the old content becomes a new generation.
    Going back twice goes further back; a retry does not.
    """
    match basis.current:
        case None:
            return Refused("the tier has no desired state, so there is nothing to roll back")
        case DesiredState(written_by=writer, stable=stable) if writer == rollback.writer:
            return Unchanged(stable.generation)
        case DesiredState() as current if stale := find_stale(current, rollback.sequence):
            return stale
        case DesiredState(generation=generation, written_by=writer) if _is_foreign(writer, rollback):
            return Refused(
                f"generation {generation} was written by {writer}, so this Dag run has nothing to roll back",
                is_stale=True,
            )
        case DesiredState(newest=newest) if rollback.generation not in {None, newest.generation}:
            return Refused(
                f"cannot roll back generation {rollback.generation}: generation {newest.generation} is the newest",
                is_stale=True,
            )
        case DesiredState() as current:
            return _go_back(basis, current, rollback)


def _is_foreign(writer: Writer, rollback: RollBack) -> bool:
    if not rollback.only_own and rollback.tasks is None:
        return False
    is_own = rollback.tasks is None or (
        writer.task_id in rollback.tasks and writer.map_index == rollback.writer.map_index
    )
    return not (is_own and writer.is_same_run(rollback.writer))


def _go_back(basis: Basis, current: DesiredState, rollback: RollBack) -> Decision:
    """The decision to go back to the target's content."""
    sequence = max((each for each in (current.sequence, rollback.sequence) if each is not None), default=None)
    signed = replace(
        current,
        written_by=rollback.writer,
        written_at=basis.written_at,
        sequence=sequence,
        aborted=_find_aborted(basis, current, rollback),
    )
    stable = current.stable
    to_stable: Decision = Unchanged(stable.generation)
    if current.canary is not None:
        without = replace(signed, canary=None)
        to_stable = Write(without, stable.generation, is_new=False, act=JournalAct.ROLLED_BACK)
    target = _find_target(basis, current, rollback)
    entry = None if target is None else basis.history.get(target)
    match target, entry:
        case int(), _ if target == stable.generation:
            return to_stable
        case None, _ if rollback.to == "last_good":
            state = rollback.state or current.newest.state
            return Refused(
                f"no earlier generation is known on which the whole tier converged in state {state}; roll back to "
                f"a generation of the tier's history"
            )
        case None, _:
            return Refused(f"generation {stable.generation} has no earlier content to go back to")
        case _, None:
            return Refused(f"generation {target} is not in the tier's history, which holds {_describe(basis.history)}")
        case int(), DesiredState():
            content = entry.assignment_at(target)
            if stable.has_content(content.state, content.values):
                return to_stable
            generation = basis.next_generation
            # What the tier can bear is said by its newest author, not by that of old content.
            pace = current.newest.pace
            back = Assignment(generation, content.state, content.values, basis.new_id, pace)
            previous = entry.previous_at(target)
            desired = replace(signed, generation=generation, stable=back, canary=None, previous=previous)
            return Write(desired, generation, act=JournalAct.ROLLED_BACK)


def _find_target(basis: Basis, current: DesiredState, rollback: RollBack) -> int | None:
    """The generation to go back to; None when there is none.

    "previous" is the stable one while a canary is out, else the newest earlier stable generation with other content. A
    generation that is missing in the history ends the search.
    """
    match rollback.to, current.canary:
        case int() as generation, _:
            return generation
        case "last_good", _:
            return _find_last_good(basis, current, rollback.state or current.newest.state)
        case _, Canary():
            return current.stable.generation
    target = current.previous
    while target is not None and (entry := basis.history.get(target)) is not None:
        content = entry.assignment_at(target)
        if not current.stable.has_content(content.state, content.values):
            break
        earlier = entry.previous_at(target)
        target = earlier if earlier is not None and earlier < target else None
    return target


def _find_last_good(basis: Basis, current: DesiredState, state: str) -> int | None:
    """The newest good generation before the one that stands, with other content, in this state.

    Earlier ones are found as for "previous", so what was rolled back once is not come back to.
    """
    newest = current.newest
    target = current.previous if current.canary is None else current.stable.generation
    while target is not None and (entry := basis.history.get(target)) is not None:
        content = entry.assignment_at(target)
        is_other = not newest.has_content(content.state, content.values)
        if is_other and content.state == state and (target, content.id) in basis.good:
            return target
        earlier = entry.previous_at(target)
        target = earlier if earlier is not None and earlier < target else None
    return None


def _find_aborted(basis: Basis, current: DesiredState, rollback: RollBack) -> Aborted | None:
    """What is aborted afterwards: rolling back the canary of another Dag run stops its later waves, too."""
    if current.canary is None:
        return current.aborted
    generation = current.canary.assignment.generation
    owner = basis.history.get(generation, current).written_by
    if owner.is_same_run(rollback.writer):
        return current.aborted
    return Aborted(owner.dag_id, owner.run_id, generation, rollback.writer, rollback.reason or "rolled back")


def _describe(history: Mapping[int, DesiredState]) -> str:
    return f"generations {min(history)} to {max(history)}" if history else "nothing"
