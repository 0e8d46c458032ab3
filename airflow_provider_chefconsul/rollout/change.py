"""Deciding a write: what stands, what is wanted, and what to do about it. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_chefconsul.rollout.desired import Assignment, DesiredState, Scalar, Writer


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody wants of a tier.

    :param allowed_from: states that the tier may be in now; None in the list stands for a tier that has no desired
        state yet. None instead of a list allows any.
    :param sequence: the logical time that the write belongs to, in seconds since the epoch; recorded.
    :param force: make a new generation although nothing differs, so that every node runs and reports again.
    """

    state: str
    writer: Writer
    values: Mapping[str, Scalar] = field(default_factory=dict)
    allowed_from: Sequence[str | None] | None = None
    sequence: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Write this desired state in place of the one that was read."""

    desired: DesiredState

    @property
    def generation(self) -> int:
        """The generation that the write makes."""
        return self.desired.generation


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The tier already desires this; nothing is to be written."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is not allowed from here."""

    reason: str


Decision = Write | Unchanged | Refused


def plan_write(
    current: DesiredState | None, change: Change, *, written_at: str, newest_generation: int = 0
) -> Decision:
    """Decide what a change means for a tier.

    A change that already stands is ``Unchanged``, so that a retry never makes a second generation. This holds for a
    forced change too: what its own task instance wrote is not written again.

    :param current: what stands now; None when the tier has no desired state.
    :param written_at: the time to record, ISO 8601.
    :param newest_generation: the newest in the tier's history. A desired state that was deleted or set back starts
        above it, since nodes' old reports would else count for the new generation.
    """
    if current is not None and _stands(current, change):
        return Unchanged(current.stable.generation)
    state = current.stable.state if current is not None else None
    if change.allowed_from is not None and state not in change.allowed_from:
        allowed = ", ".join("no desired state yet" if name is None else name for name in change.allowed_from)
        standing = f"is in state {state}" if state is not None else "has no desired state yet"
        return Refused(f"state {change.state} is allowed from {allowed or 'nowhere'}, but the tier {standing}")
    generation = max(current.generation if current is not None else 0, newest_generation) + 1
    return Write(
        DesiredState(
            generation=generation,
            stable=Assignment(generation, change.state, dict(change.values)),
            written_by=change.writer,
            written_at=written_at,
            sequence=change.sequence,
        )
    )


def _stands(current: DesiredState, change: Change) -> bool:
    if current.canary is not None or not current.stable.has_content(change.state, change.values):
        return False
    return not change.force or current.written_by == change.writer
