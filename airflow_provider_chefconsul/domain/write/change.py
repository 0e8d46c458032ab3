"""A requested change of a tier, as an author writes it; `act` says what writing it does. Pure.

Dag files are parsed with this, so it knows nothing of what is written already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.model.values import Scalar, check_values
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.pacing import Pacing, parse_pacing
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class Change:
    """A requested change of a tier.

    :param canary: the part of the tier to assign it to; None means all.
    :param allowed_from: states that the tier may be in now; None in the list stands for a tier that has no desired
        state yet. None instead of a list allows any.
    :param sequence: the write's logical time, in seconds since the epoch; the write is stale if the current one's is
        later. None is never stale.
    :param force: make a new generation even if nothing differs, so that every node runs and reports again.
    :param wave: which wave of a rollout this is, and of how many; for the journal.
    :param pacing: how fast nodes may take it up.
    """

    state: str
    writer: Writer
    values: Mapping[str, Scalar] = field(default_factory=dict)
    canary: Wave | None = None
    allowed_from: Sequence[str | None] | None = None
    sequence: int | None = None
    force: bool = False
    wave: tuple[int, int] | None = None
    pacing: Pacing = field(default_factory=Pacing)

    @property
    def needs_members(self) -> bool:
        """Whether what is written depends on the tier's members."""
        return self.canary is not None or self.pacing.needs_members


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
    wave: tuple[int, int] | None = None,
    slots: object = None,
    per: object = None,
    spread_over: object = None,
) -> Change:
    """Parse a change as authors write it; see ``SetDesiredStateOperator`` for the parameters.

    :raises InvalidInput: names the parameter.
    """
    return Change(
        state=check_name("state", state),
        writer=writer,
        values=check_values({} if values is None else values),
        canary=None if canary is None else Wave.parse(canary, spread),
        allowed_from=_check_states(allowed_from),
        sequence=sequence,
        force=force,
        wave=wave,
        pacing=parse_pacing(slots, per, spread_over),
    )


def _check_states(states: object) -> list[str | None] | None:
    if states is None:
        return None
    if isinstance(states, str) or not isinstance(states, Sequence):
        raise InvalidInput(f"allowed_from must be a list of states, not {states!r}")
    return [None if state is None else check_name("allowed_from", state) for state in states]
