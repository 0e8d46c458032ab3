"""Several transitions, one after the other, and at which one a task stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_chefconsul.domain.model.desired import DesiredState, Writer
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class Transition:
    """The tiers that move together, and their next state."""

    tiers: tuple[str, ...]
    state: str

    def __str__(self) -> str:
        """As a log says it: "web, app → off"."""
        return f"{', '.join(self.tiers)} → {self.state}"


def parse_transitions(pairs: object) -> tuple[Transition, ...]:
    """Parse transitions as authors write them.

    :param pairs: of a tier (or several) and its next state.
    :raises InvalidInput: names what is not such a pair.
    """
    if isinstance(pairs, str) or not isinstance(pairs, Sequence) or not pairs:
        raise InvalidInput(f"steps must be a list of pairs of a tier (or several) and a state, not {pairs!r}")
    return tuple(map(_parse_transition, pairs))


def _parse_transition(pair: object) -> Transition:
    match pair:
        case [str() as tier, str() as state]:
            return Transition((check_name("tier", tier),), check_name("state", state))
        case [[_, *_] as tiers, str() as state]:
            return Transition(tuple(check_name("tier", tier) for tier in tiers), check_name("state", state))
    raise InvalidInput(f"a step must be a pair of a tier (or several) and a state, not {pair!r}")


def find_transition(
    transitions: Sequence[Transition], writer: Writer, current: Mapping[str, DesiredState | None]
) -> int:
    """The number of the transition at which a task stands, from 1: the last one that it wrote, or the first.

    Those after it may have found what they would have written; they find it again.

    :param writer: the task, without a transition.
    :param current: by tier, its desired state.
    :raises InvalidInput: what it wrote is not among the transitions, which were changed since.
    """
    number = 1
    for tier, desired in current.items():
        written = desired.written_by.transition if desired else None
        if desired is None or written is None or replace(desired.written_by, transition=None) != writer:
            continue
        expected = transitions[written - 1] if written <= len(transitions) else None
        if expected is None or tier not in expected.tiers or expected.state != desired.newest.state:
            raise InvalidInput(
                f"the steps were changed since this Dag run began: its step {written} was {tier} → "
                f"{desired.newest.state}; trigger another Dag run"
            )
        number = max(number, written)
    return number
