"""Several transitions, one after the other, and at which one a task stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.exceptions import InvalidInput, WriteRefused


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
    transitions: Sequence[Transition],
    values: Mapping[str, Scalar],
    writer: Writer,
    current: Mapping[str, DesiredState | None],
) -> int:
    """The number of the last transition that a task has written; 0 when it has written none.

    Those after it may have found what they would have written; they find it again.

    :param values: of all transitions.
    :param writer: the task, without a transition.
    :param current: by tier, its desired state.
    :raises WriteRefused: what the task wrote no longer stands, or is not what it would write now.
    """
    written = [
        desired.written_by.transition
        for desired in current.values()
        if desired is not None and replace(desired.written_by, transition=None) == writer
    ]
    last = max((number for number in written if number is not None), default=0)
    if last > len(transitions):
        raise WriteRefused(f"step {last} of this Dag run is not in the Dag any more; trigger another Dag run")
    states = {tier: each.state for each in transitions[:last] for tier in each.tiers}
    for tier, state in states.items():
        desired = current.get(tier)
        if desired is None or not desired.newest.has_content(state, values):
            stands = "nothing is desired" if desired is None else f"{desired.newest.describe()} stands"
            by = "" if desired is None else f", written by {desired.written_by}"
            raise WriteRefused(
                f"cannot go on after step {last}: in tier {tier}, {stands}{by}, and not state {state} with this task's "
                f"values; trigger another Dag run"
            )
    return last
