"""What a change would do to a tier, said before it is made: what differs, and whom each wave takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState, Scalar
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.write.change import Change, Decision, Refused, Write, plan_write
from airflow_provider_chefconsul.domain.write.wave import Wave


@dataclass(frozen=True, slots=True)
class Difference:
    """The state or a value that would become another.

    :param name: of the value; empty for the state.
    :param before: empty where the value is not there, else it alone; so is ``after``.
    """

    name: str
    before: tuple[Scalar, ...]
    after: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One write of the change.

    :param wave: None is the whole tier at once.
    :param before: what the nodes that it takes are assigned until then; None when nothing is.
    :param after: what they are assigned by it; None when nothing would be written.
    :param nodes: the members whom it assigns another generation, by name; all others do nothing.
    """

    wave: Wave | None
    decision: Decision
    before: Assignment | None = None
    after: Assignment | None = None
    nodes: tuple[str, ...] = ()

    @property
    def differences(self) -> list[Difference]:
        """What the nodes that it takes are to change, the state first."""
        if self.after is None:
            return []
        old: Mapping[str, Scalar] = self.before.values if self.before else {}
        new = self.after.values
        state: tuple[str, ...] = (self.before.state,) if self.before else ()
        found = [Difference("", state, (self.after.state,))]
        found += [
            Difference(name, *(((values[name],) if name in values else ()) for values in (old, new)))
            for name in sorted({*old, *new})
        ]
        return [each for each in found if _typed(each.before) != _typed(each.after)]


def preview_write(current: DesiredState | None, decision: Decision, members: Members, wave: Wave | None) -> Step:
    """What one decision means for the members.

    :param current: what the decision was made on.
    """
    if not isinstance(decision, Write):
        return Step(wave, decision)
    desired = decision.desired
    if current is None:
        return Step(wave, decision, None, desired.stable, tuple(sorted(members, key=natural_order)))
    after = desired.canary.assignment if desired.canary is not None else desired.stable
    nodes = tuple(
        node
        for node in sorted(members, key=natural_order)
        if current.assignment_for(node).generation != desired.assignment_for(node).generation
    )
    # Of a canary that is taken back, the others have kept what its nodes go back to.
    is_taken_back = current.canary is not None and after.generation == current.stable.generation
    before = current.canary.assignment if current.canary is not None and is_taken_back else current.stable
    return Step(wave, decision, before, after, nodes)


def preview_waves(
    current: DesiredState | None,
    first: Decision,
    change: Change,
    waves: Sequence[Wave],
    members: Members,
    *,
    written_at: str,
    newest_generation: int,
    by_name: bool = False,
) -> list[Step]:
    """What each wave of a rollout would do, were the members the same all the while; ends where one is refused.

    :param first: what the adapter decided for the first wave.
    :param change: the change without a canary; for the other parameters see :func:`plan_write`.
    """
    steps: list[Step] = []
    standing, decision = current, first
    for number, wave in enumerate(waves):
        if number > 0:
            decision = plan_write(
                standing,
                change_for(change, wave, is_first=False),
                written_at=written_at,
                newest_generation=newest_generation,
                members=members,
                by_name=by_name,
            )
        steps.append(preview_write(standing, decision, members, wave))
        if isinstance(decision, Refused):
            break
        if isinstance(decision, Write):
            standing = decision.desired
    return steps


def change_for(change: Change, wave: Wave, *, is_first: bool) -> Change:
    """The write of one wave: the whole tier promotes, and only the first is forced, since it would begin anew else."""
    return replace(change, canary=None if wave.is_all else wave, force=change.force and is_first)


def _typed(found: tuple[Scalar, ...]) -> list[tuple[type, Scalar]]:
    """1, 1.0 and true are three values."""
    return [(type(each), each) for each in found]
