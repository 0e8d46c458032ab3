"""Which states a tier has, and which may follow which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True)
class StateModel:
    """The states of a tier and the transitions between them; checked when a Dag is parsed, and again at each write.

    A tier that was never declared may begin in any state, and a state may always be declared again with other values.

    :param states: their names.
    :param transitions: pairs of a state and one that may follow it.
    """

    states: frozenset[str]
    transitions: frozenset[tuple[str, str]]

    def __init__(self, states: Iterable[str], transitions: Iterable[tuple[str, str]]) -> None:
        """Refuse transitions between states that there are not.

        :raises InvalidInput: names the state or transition.
        """
        object.__setattr__(self, "states", frozenset(check_name("state", state) for state in states))
        object.__setattr__(self, "transitions", frozenset((before, after) for before, after in transitions))
        for before, after in sorted(self.transitions):
            for state in (before, after):
                if state not in self.states:
                    raise InvalidInput(
                        f"transition {before} → {after}: unknown state {state}; expected one of: {self._listed}"
                    )

    def check(self, before: str | None, after: str) -> None:
        """Check one transition; None before is a tier whose state is not known.

        :raises InvalidInput: names the transition and what is allowed instead.
        """
        for state in (before, after):
            if state is not None and state not in self.states:
                raise InvalidInput(f"unknown state {state}; expected one of: {self._listed}")
        if before is not None and before != after and (before, after) not in self.transitions:
            allowed = sorted(follower for state, follower in self.transitions if state == before)
            raise InvalidInput(
                f"transition {before} → {after} is not in the state model; {before} may be followed by "
                f"{', '.join(allowed) or 'nothing'}"
            )

    def allowed_from(self, state: str) -> list[str | None]:
        """What a tier may be in before that state, as ``allowed_from`` of operators takes it."""
        self.check(None, state)
        return [
            None,
            state,
            *sorted(before for before, after in self.transitions if after == state and before != state),
        ]

    @property
    def _listed(self) -> str:
        return ", ".join(sorted(self.states))
