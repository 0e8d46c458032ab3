"""Deciding a write: what it rests on, and what may come of it. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.write.sequence import describe_sequence


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan for a tier rests on.

    :param current: the desired state that stands; None when the tier has none.
    :param written_at: the time to record, ISO 8601.
    :param new_id: the id of the assignment, should the write make one.
    :param modify_index: Consul's, of the desired state; 0 when there is none.
    :param generations: those in the tier's history, in order, also of entries that cannot be read.
    :param history: by generation, the desired state as it was first written; needed for a rollback only.
    :param members: the tier's members today; needed for a canary only.
    :param by_name: whether a canary must name its nodes, since nodes that are no members may read the desired state.
    """

    current: DesiredState | None
    written_at: str
    new_id: str | None = None
    modify_index: int = 0
    generations: Sequence[int] = ()
    history: Mapping[int, DesiredState] = field(default_factory=dict)
    members: Members = field(default_factory=dict)
    by_name: bool = False

    @property
    def next_generation(self) -> int:
        """The generation of a new assignment.

        It is above the history's, too: for a desired state that was deleted or set back, nodes' old reports would else
        count for the new generation.
        """
        return max([self.current.generation if self.current else 0, *self.generations, *self.history]) + 1


@dataclass(frozen=True, slots=True)
class Write:
    """Write this desired state in place of the one that was read.

    :param generation: the generation of the assignment that was asked for.
    :param is_new: whether that generation begins with this write; a canary that widens, is promoted or is rolled back
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
