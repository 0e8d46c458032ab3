"""What writing a change does to a tier's current desired state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Unchanged, Write, find_stale
from airflow_provider_chefconsul.domain.write.wave import NoWave, Wave, plan_canary


class Content(Enum):
    """Which part of the current desired state has a change's state and values already."""

    UNDECLARED = auto()  # the tier has no desired state
    STABLE = auto()  # the stable assignment, with no canary out
    CANARY = auto()  # the canary
    BESIDE_CANARY = auto()  # the stable assignment, with a canary of something else out
    NEW = auto()  # none


class Act(Enum):
    """What a write does."""

    LEAVE = auto()  # the tier has it already
    ASSIGN = auto()  # a new generation for the whole tier
    BEGIN_CANARY = auto()  # a new generation for part of the tier
    WIDEN = auto()  # the canary covers more nodes, or the same
    PROMOTE = auto()  # the canary's assignment becomes the stable one
    ROLL_BACK = auto()  # the canary's nodes return to the stable assignment
    REFUSE = auto()  # a canary needs a desired state that the other nodes keep


def choose_act(content: Content, *, is_wave: bool, is_forced: bool) -> Act:
    """The rules of writing.

    :param is_wave: whether the change is for part of the tier.
    :param is_forced: whether nodes must run again even if nothing differs.
    """
    match content, is_wave, is_forced:
        case Content.UNDECLARED, True, _:
            return Act.REFUSE
        case Content.UNDECLARED, False, _:
            return Act.ASSIGN
        case Content.STABLE, _, False:
            return Act.LEAVE
        case Content.CANARY, False, False:
            return Act.PROMOTE
        case Content.CANARY, True, _:  # even if forced: else each wave of a forced rollout would start over
            return Act.WIDEN
        case Content.BESIDE_CANARY, _, False:
            return Act.ROLL_BACK
        case _, True, _:
            return Act.BEGIN_CANARY
        case _:
            return Act.ASSIGN


def find_wave(change: Change) -> JournalWave | None:
    """What the journal says of the part of the tier; None for a change of all of it outside a rollout."""
    if change.wave is None and change.canary is None:
        return None
    number, of = change.wave or (None, None)
    return JournalWave("100%" if change.canary is None else str(change.canary), number, of)


def plan_write(basis: Basis, change: Change) -> Decision:
    """Decide what a change means for a tier.

    Content that the tier already has is ``Unchanged``, whatever ``allowed_from`` says, so that a retry never makes a
    second generation; nor does a forced change that its own task instance wrote. A later logical time is recorded
    nevertheless, so that writes from in between become stale. Promoting or rolling back a canary keeps the generations,
    so that nodes already there do nothing.
    """
    current = basis.current
    planned = _plan(basis, change)
    if current is not None:
        if isinstance(planned, Unchanged):
            return _leave(basis, current, planned.generation, change)
        if stale := find_stale(current, change.sequence):
            return stale
        if current.aborted is not None and current.aborted.is_of(change.writer):
            return Refused(f"{current.aborted}; trigger another Dag run to begin anew", is_aborted=True)
    state = current.stable.state if current is not None else None
    if change.allowed_from is not None and state not in change.allowed_from:
        allowed = ", ".join("no desired state yet" if name is None else name for name in change.allowed_from)
        actual = f"is in state {state}" if state is not None else "has no desired state yet"
        return Refused(f"state {change.state} is allowed from {allowed or 'nowhere'}, but the tier {actual}")
    if not isinstance(planned, Write):
        return planned
    sequence = change.sequence
    if sequence is None and current is not None:
        sequence = current.sequence
    desired = replace(planned.desired, written_by=change.writer, written_at=basis.written_at, sequence=sequence)
    return replace(planned, desired=desired)


def _plan(basis: Basis, change: Change) -> Decision:
    """The decision if the change is allowed; the caller fills in the writer."""
    current, generation = basis.current, basis.next_generation
    pace = change.pacing.resolve(basis.members)
    new = Assignment(generation, change.state, dict(change.values), basis.new_id, pace)
    act = choose_act(
        find_content(current, change), is_wave=change.canary is not None, is_forced=_is_forced(current, change)
    )
    match act, current, change.canary:
        case Act.LEAVE, DesiredState(stable=stable), _:
            return Unchanged(stable.generation)
        case Act.PROMOTE, DesiredState(stable=stable, newest=newest), _:
            promoted = replace(current, stable=replace(newest, pace=pace), canary=None, previous=stable.generation)
            return Write(promoted, newest.generation, is_new=False, act=JournalAct.PROMOTED)
        case Act.ROLL_BACK, DesiredState(stable=stable), _:
            back = replace(current, stable=replace(stable, pace=pace), canary=None)
            return Write(back, stable.generation, is_new=False, act=JournalAct.ROLLED_BACK)
        case Act.BEGIN_CANARY, DesiredState(), Wave() as wave:
            return _plan_canary(basis, current, new, None, wave)
        case Act.WIDEN, DesiredState(canary=Canary() as canary), Wave() as wave:
            return _plan_canary(basis, current, replace(canary.assignment, pace=pace), canary, wave)
        case Act.ASSIGN, _, _:
            previous = current.stable.generation if current else None
            aborted = current.aborted if current else None
            desired = DesiredState(generation, new, change.writer, "", previous=previous, aborted=aborted)
            return Write(desired, generation)
        case _:  # Act.REFUSE
            return Refused("a canary needs a desired state that the other nodes keep, and the tier has none yet")


def _plan_canary(
    basis: Basis, current: DesiredState, assignment: Assignment, canary: Canary | None, wave: Wave
) -> Decision:
    planned = plan_canary(assignment, canary, wave, basis.members, by_name=basis.by_name)
    if isinstance(planned, NoWave):
        return Refused(planned.reason)
    if planned == canary:
        return Unchanged(assignment.generation)
    newest = max(current.generation, assignment.generation)
    act = JournalAct.DECLARED if canary is None else JournalAct.WIDENED
    desired = replace(current, generation=newest, canary=replace(planned, assignment=assignment))
    return Write(desired, assignment.generation, is_new=canary is None, act=act)


def find_overwritten(
    current: DesiredState | None, history: Mapping[int, DesiredState], change: Change
) -> Refused | None:
    """The refusal of a later try that would overwrite what another Dag run wrote after an earlier one; None if not.

    :param history: by generation, the desired state as first written.
    """
    own = [number for number, each in history.items() if each.written_by == change.writer]
    if current is None or not own or current.written_by.is_same_run(change.writer):
        return None
    if find_content(current, change) in {Content.STABLE, Content.CANARY} or current.newest.generation <= max(own):
        return None
    return Refused(
        f"generation {max(own)}, which an earlier try of this task declared, is superseded by generation "
        f"{current.newest.generation}, written by {current.written_by} at {current.written_at}; trigger another Dag "
        f"run to declare it again",
        is_stale=True,
    )


def find_content(current: DesiredState | None, change: Change) -> Content:
    """Which part of the current desired state has the change's content; the canary, if both have it."""
    if current is None:
        return Content.UNDECLARED
    if current.canary is not None and current.canary.assignment.has_content(change.state, change.values):
        return Content.CANARY
    if current.stable.has_content(change.state, change.values):
        return Content.STABLE if current.canary is None else Content.BESIDE_CANARY
    return Content.NEW


def _is_forced(current: DesiredState | None, change: Change) -> bool:
    """Whether a change is forced, and not already written by an earlier try of its task instance."""
    has_forced = current is not None and current.canary is None and current.written_by == change.writer
    return change.force and not has_forced


def _leave(basis: Basis, current: DesiredState, generation: int, change: Change) -> Write | Unchanged:
    """Keep the content, record the later of both logical times, and give it the pace of a write that is not stale.

    Whoever wrote the content stays its writer, so that it is still that Dag run's to go on with or to roll back.
    """
    is_aborted = current.aborted is not None and current.aborted.is_of(change.writer)
    if find_stale(current, change.sequence) or is_aborted:
        return Unchanged(generation)
    desired = _set_pace(current, generation, change.pacing.resolve(basis.members))
    act = JournalAct.DECLARED if desired == current else JournalAct.PACED
    if change.sequence is not None and change.sequence != current.sequence:
        desired = replace(desired, sequence=change.sequence)
    if desired == current:
        return Unchanged(generation)
    return Write(desired, generation, is_new=False, assigns=False, act=act)


def _set_pace(desired: DesiredState, generation: int, pace: AssignmentPace) -> DesiredState:
    """The desired state with another pace for the assignment of a generation."""
    if desired.canary is not None and desired.is_of_canary(generation):
        assignment = replace(desired.canary.assignment, pace=pace)
        return replace(desired, canary=replace(desired.canary, assignment=assignment))
    return replace(desired, stable=replace(desired.stable, pace=pace))
