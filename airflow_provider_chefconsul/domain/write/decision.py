"""Deciding a write: its basis and its possible outcomes. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.write.sequence import describe_sequence


@dataclass(frozen=True, slots=True)
class Basis:
    """The facts that a decision about a tier depends on.

    :param current: the current desired state; None without one.
    :param written_at: the time to record, ISO 8601.
    :param new_id: the id for a new assignment.
    :param modify_index: of the desired state; 0 without one.
    :param generations: those in the tier's history, in order, including unreadable entries.
    :param history: by generation, the desired state as first written; needed only for a rollback.
    :param members: the tier's members today; needed only for a canary, and for slots by percentage.
    :param by_name: whether a canary must name its nodes, since other nodes may read the desired state, too.
    :param good: generations with their ids on which all of the tier has converged; needed only for a rollback.
    """

    current: DesiredState | None
    written_at: str
    new_id: str | None = None
    modify_index: int = 0
    generations: Sequence[int] = ()
    history: Mapping[int, DesiredState] = field(default_factory=dict)
    members: Members = field(default_factory=dict)
    by_name: bool = False
    good: frozenset[tuple[int, str | None]] = frozenset()

    @property
    def next_generation(self) -> int:
        """The generation of a new assignment.

        It is above the history's, too: after a desired state was deleted or restored, old reports would otherwise count
        for the new generation.
        """
        return max([self.current.generation if self.current else 0, *self.generations, *self.history]) + 1


@dataclass(frozen=True, slots=True)
class Write:
    """Replace the current desired state with this one.

    :param generation: of the requested assignment.
    :param is_new: whether this write makes that generation; widening, promoting or rolling back a canary does not.
    :param assigns: whether it may change a node's assignment; if not, it only records a later logical time or a pace.
    :param act: what the journal calls it.
    """

    desired: DesiredState
    generation: int
    is_new: bool = True
    assigns: bool = True
    act: JournalAct = JournalAct.DECLARED

    @property
    def is_paced(self) -> bool:
        """Whether, of what is assigned already, it only changes how fast nodes may take it up."""
        return self.act is JournalAct.PACED

    @property
    def assignment(self) -> Assignment:
        """The requested assignment."""
        return self.desired.assignment_at(self.generation)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The tier already has this; there is nothing to write."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is not allowed.

    :param is_stale: whether the current desired state has a later logical time.
    :param is_aborted: whether the change belongs to a rollout that was aborted.
    """

    reason: str
    is_stale: bool = False
    is_aborted: bool = False


Decision = Write | Unchanged | Refused


def find_stale(current: DesiredState, sequence: int | None) -> Refused | None:
    """The refusal of a write whose logical time is earlier than the current one's; None if it is not."""
    if sequence is None or current.sequence is None or sequence >= current.sequence:
        return None
    return Refused(
        f"the write is stale: it belongs to sequence {describe_sequence(sequence)}, and generation "
        f"{current.generation} of sequence {describe_sequence(current.sequence)} was already written by "
        f"{current.written_by} at {current.written_at}; only that sequence or a later one can write here",
        is_stale=True,
    )


def describe_decision(decision: Write | Unchanged, *, done: str = "") -> str:
    """What was done, or would be, in one line.

    :param done: what to call the write, if not just a change.
    """
    match decision:
        case Unchanged(generation):
            return f"nothing to write, still generation {generation}"
        case Write(generation=generation, assigns=False):
            if decision.is_paced:
                only = f"only its pace, {decision.assignment.pace}; generation {generation} stays"
            else:
                only = f"only the later logical time; generation {generation} stays, and nodes do nothing"
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
