"""Planning what a change would do to a tier's nodes, wave by wave. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.values import Scalar, is_same
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Write
from airflow_provider_chefconsul.domain.write.wave import Wave


class Missing(Enum):
    """Marks a value that an assignment does not have; null is a value."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of the state or of one value.

    :param name: of the value; empty for the state.
    """

    name: str
    before: Scalar | Missing
    after: Scalar | Missing


@dataclass(frozen=True, slots=True)
class Move:
    """Members that one write takes from the same assignment.

    :param before: what they are assigned until then; None for nothing.
    """

    before: Assignment | None
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedWave:
    """What one write does to a tier's nodes.

    :param wave: None means the whole tier at once.
    :param before: what its nodes are assigned until then; None for nothing.
    :param after: what it assigns them; None when nothing would be written.
    :param moves: the members to which it assigns another generation; all others do nothing. More than one move means
        that a canary was out, and its nodes leave another assignment than the others.
    """

    wave: Wave | None
    decision: Decision
    before: Assignment | None = None
    after: Assignment | None = None
    moves: tuple[Move, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The members to which it assigns another generation, in order."""
        return tuple(sorted((node for move in self.moves for node in move.nodes), key=natural_order))

    @property
    def differences(self) -> list[Difference]:
        """What changes for its nodes, the state first."""
        return [] if self.after is None else find_differences(self.before, self.after)

    @property
    def left_states(self) -> list[str]:
        """The states that its nodes leave for another one."""
        states = [each.state for each in (self.before, *(move.before for move in self.moves)) if each is not None]
        return [state for state in dict.fromkeys(states) if self.after is not None and state != self.after.state]


def find_differences(before: Assignment | None, after: Assignment) -> list[Difference]:
    """What changes between two assignments, the state first."""
    old: Mapping[str, Scalar] = before.values if before else {}
    new = after.values
    found = [Difference("", before.state if before else MISSING, after.state)]
    found += [Difference(name, old.get(name, MISSING), new.get(name, MISSING)) for name in sorted({*old, *new})]
    return [each for each in found if not is_same(each.before, each.after)]


def plan_wave(basis: Basis, decision: Decision, wave: Wave | None) -> PlannedWave:
    """What one decision means for the members.

    :param basis: the decision's, with the members.
    """
    if not isinstance(decision, Write):
        return PlannedWave(wave, decision)
    current, desired, members = basis.current, decision.desired, sorted(basis.members, key=natural_order)
    if current is None:
        return PlannedWave(wave, decision, None, desired.stable, (Move(None, tuple(members)),))
    after = desired.newest
    left: dict[int, list[str]] = {}
    for node in members:
        if (before := current.assignment_for(node).generation) != desired.assignment_for(node).generation:
            left.setdefault(before, []).append(node)
    moves = tuple(Move(current.assignment_at(before), tuple(nodes)) for before, nodes in left.items())
    # The nodes of a rolled-back canary return to what the others have kept.
    is_rolled_back = after.generation == current.stable.generation
    return PlannedWave(wave, decision, current.newest if is_rolled_back else current.stable, after, moves)


def plan_waves(basis: Basis, first: Decision, change: Change, waves: Sequence[Wave]) -> list[PlannedWave]:
    """What each wave of a rollout would do if the members stayed the same, up to the first refused wave.

    :param basis: the first decision's, with the members.
    :param first: the decision for the first wave.
    :param change: the change without a canary.
    """
    planned: list[PlannedWave] = []
    decision = first
    for number, wave in enumerate(waves):
        if number > 0:
            decision = plan_write(basis, change_for(change, wave, is_first=False))
        planned.append(plan_wave(basis, decision, wave))
        match decision:
            case Refused():
                break
            case Write(desired):
                basis = replace(basis, current=desired)
    return planned


def change_for(change: Change, wave: Wave, *, is_first: bool) -> Change:
    """The change of one wave; the whole tier promotes, and only the first wave may force, lest each start over."""
    return replace(change, canary=None if wave.is_all else wave, force=change.force and is_first)
