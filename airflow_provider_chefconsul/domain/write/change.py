"""Deciding a write: what stands, what is wanted, and what to do about it. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState, Scalar, Writer, check_values
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.write.sequence import describe_sequence
from airflow_provider_chefconsul.domain.write.wave import NoWave, Wave, parse_wave, plan_canary
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody wants of a tier.

    :param canary: the part of the tier that shall have it; None is all of it.
    :param allowed_from: states that the tier may be in now; None in the list stands for a tier that has no desired
        state yet. None instead of a list allows any.
    :param sequence: the logical time that the write belongs to, in seconds since the epoch; older than what stands, it
        is stale. None is never stale.
    :param force: make a new generation although nothing differs, so that every node runs and reports again.
    """

    state: str
    writer: Writer
    values: Mapping[str, Scalar] = field(default_factory=dict)
    canary: Wave | None = None
    allowed_from: Sequence[str | None] | None = None
    sequence: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Write this desired state in place of the one that was read.

    :param generation: the generation of the assignment that was asked for.
    :param is_new: whether that generation begins with this write; a canary that widens, is promoted or is taken back
        keeps its nodes' generations.
    :param assigns: whether any node's assignment could change by it; else only a later logical time is recorded.
    """

    desired: DesiredState
    generation: int
    is_new: bool = True
    assigns: bool = True


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The tier already desires this; nothing is to be written."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is not allowed from here; ``is_stale`` when that is because something later stands."""

    reason: str
    is_stale: bool = False


Decision = Write | Unchanged | Refused
NOBODY: Members = {}


def parse_change(
    *,
    state: object,
    writer: Writer,
    values: object = None,
    canary: object = None,
    spread: object = None,
    allowed_from: object = None,
    sequence: int | None = None,
    force: bool = False,
) -> Change:
    """Read a change as authors write it; see ``SetDesiredStateOperator`` for the parameters.

    :raises InvalidInput: names the parameter.
    """
    return Change(
        state=check_name("state", state),
        writer=writer,
        values=check_values({} if values is None else values),
        canary=None if canary is None else parse_wave(canary, spread),
        allowed_from=_check_states(allowed_from),
        sequence=sequence,
        force=force,
    )


def plan_write(
    current: DesiredState | None,
    change: Change,
    *,
    written_at: str,
    newest_generation: int = 0,
    new_id: str | None = None,
    members: Members = NOBODY,
    by_name: bool = False,
) -> Decision:
    """Decide what a change means for a tier.

    A change that already stands is ``Unchanged``, so that a retry never makes a second generation. This holds for a
    forced change too: what its own task instance wrote is not written again. Only a later logical time is recorded, so
    that what lies between can no longer go back behind it. A change that is a canary's content
    promotes it, one that is the stable content takes the canary back; both keep the generations, so that nodes which
    are there already do nothing.

    :param current: what stands now; None when the tier has no desired state.
    :param written_at: the time to record, ISO 8601.
    :param newest_generation: the newest in the tier's history. A desired state that was deleted or set back starts
        above it, since nodes' old reports would else count for the new generation.
    :param new_id: the id of the assignment, should this make one.
    :param members: the tier's members today, for a canary.
    :param by_name: whether the canary must name its nodes, since nodes that are no members may read the desired state.
    """
    if current is not None and _stands(current, change):
        return _keep(current, current.stable.generation, change)
    generation = max(current.generation if current else 0, newest_generation) + 1
    new = Assignment(generation, change.state, dict(change.values), new_id)
    planned = _plan(current, change, members, new, by_name=by_name)
    if current is not None and isinstance(planned, Unchanged):
        return _keep(current, planned.generation, change)
    if current is not None and (stale := find_stale(current, change.sequence)):
        return stale
    state = current.stable.state if current is not None else None
    if change.allowed_from is not None and state not in change.allowed_from:
        allowed = ", ".join("no desired state yet" if name is None else name for name in change.allowed_from)
        standing = f"is in state {state}" if state is not None else "has no desired state yet"
        return Refused(f"state {change.state} is allowed from {allowed or 'nowhere'}, but the tier {standing}")
    if not isinstance(planned, Write):
        return planned
    sequence = change.sequence
    if sequence is None and current is not None:
        sequence = current.sequence
    desired = replace(planned.desired, written_by=change.writer, written_at=written_at, sequence=sequence)
    return replace(planned, desired=desired)


def find_stale(current: DesiredState, sequence: int | None) -> Refused | None:
    """What refuses a write that belongs to an earlier logical time than what stands; None when nothing does."""
    if sequence is None or current.sequence is None or sequence >= current.sequence:
        return None
    return Refused(
        f"the write is stale: it belongs to sequence {describe_sequence(sequence)}, and generation "
        f"{current.generation} of sequence {describe_sequence(current.sequence)} stands, written by "
        f"{current.written_by} at {current.written_at}",
        is_stale=True,
    )


def describe_decision(decision: Write | Unchanged, *, done: str = "") -> str:
    """What was done, or would be, in one line.

    :param done: words that say what a write was, when it was more than a change.
    """
    match decision:
        case Unchanged(generation):
            return f"nothing to write, generation {generation} stands"
        case Write(generation=generation, assigns=False):
            only = f"only the later logical time; generation {generation} stands, and nodes do nothing"
            return f"{done or 'wrote'}{':' if done else ''} {only}"
        case Write(desired):
            return f"{done and f'{done}: '}{_describe_write(desired)}"


def _describe_write(desired: DesiredState) -> str:
    stable, canary = desired.stable, desired.canary
    if canary is None:
        return f"all nodes are assigned {stable.describe()}"
    said = f"a canary of {canary.describe_nodes()} is assigned {canary.assignment.describe()}"
    if canary.threshold == BUCKETS:
        return f"{said} (declare it without a canary to promote it)"
    return f"{said}; all others keep generation {stable.generation}"


def _check_states(states: object) -> list[str | None] | None:
    if states is None:
        return None
    if isinstance(states, str) or not isinstance(states, Sequence):
        raise InvalidInput(f"allowed_from must be a list of states, not {states!r}")
    return [None if state is None else check_name("allowed_from", state) for state in states]


def _keep(current: DesiredState, generation: int, change: Change) -> Write | Unchanged:
    """What stands is what is wanted; it belongs to the later of both times from now on."""
    if change.sequence is None or (current.sequence is not None and change.sequence <= current.sequence):
        return Unchanged(generation)
    return Write(replace(current, sequence=change.sequence), generation, is_new=False, assigns=False)


def _stands(current: DesiredState, change: Change) -> bool:
    if current.canary is not None or not current.stable.has_content(change.state, change.values):
        return False
    return not change.force or current.written_by == change.writer


def _plan(
    current: DesiredState | None, change: Change, members: Members, new: Assignment, *, by_name: bool
) -> Decision:
    """Who is assigned what; the caller fills in who wrote it.

    :param new: the assignment, should a new generation be made.
    """
    generation = new.generation
    if current is None:
        if change.canary is not None:
            return Refused("a canary needs a desired state that the other nodes keep, and the tier has none yet")
        return Write(DesiredState(generation, new, change.writer, ""), generation)
    standing = current.canary
    is_of_canary = standing is not None and standing.assignment.has_content(change.state, change.values)
    # Where both have the content, a forced canary is out: to declare it again widens or promotes that.
    if standing and not is_of_canary and not change.force and current.stable.has_content(change.state, change.values):
        return Write(replace(current, canary=None), current.stable.generation, is_new=False)
    if change.canary is not None:
        assignment = standing.assignment if standing is not None and is_of_canary else new
        canary = plan_canary(assignment, standing if is_of_canary else None, change.canary, members, by_name=by_name)
        if isinstance(canary, NoWave):
            return Refused(canary.reason)
        if canary == standing:
            return Unchanged(assignment.generation)
        newest = max(current.generation, assignment.generation)
        return Write(replace(current, generation=newest, canary=canary), assignment.generation, is_new=not is_of_canary)
    if standing is not None and is_of_canary and not change.force:
        promoted = replace(current, stable=standing.assignment, canary=None, previous=current.stable.generation)
        return Write(promoted, standing.assignment.generation, is_new=False)
    changed = DesiredState(generation, new, change.writer, "", previous=current.stable.generation)
    return Write(changed, generation)
