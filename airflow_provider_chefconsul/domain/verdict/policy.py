"""When a wait is over: what its author demands, in numbers of nodes and in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.exceptions import InvalidInput

_DURATIONS = ("min_healthy_time", "progress_deadline", "timeout")
_LONGEST = timedelta(days=3650)  # the calendar ends: what is further off is no moment


@dataclass(frozen=True, slots=True, init=False)
class ConvergencePolicy:
    """When a wait is over. Counts are numbers of nodes or "N%".

    Members present are those that are neither absent nor have left. To tolerate a node that failed or was lost, allow
    it and ask for less in ``min_converged``.

    A wait for a canary looks at the nodes that the canary covers. Its ``min_converged`` is of those, and no more of
    them are asked for than there are. Its budgets are of the whole tier, so that all waves together spend them.

    :param min_converged: how many of the members present must have converged; a percentage is rounded up.
    :param max_failed: how many of the tier's members present may have failed before the wait fails at once; a
        percentage is rounded down. Failures that are history on a later try do not fail it, but no more than this may
        stand when the wait converges.
    :param max_lost: how many of the tier's members present may be lost when the wait converges: nodes that were seen
        alive or reported on the generation, and whose agents are not alive now. A percentage is rounded down.
    :param max_absent: how many of all the tier's members may be absent or have left when the wait converges; None is
        any number.
    :param min_members: how many members must really have converged, so that a tier of absent nodes never passes.
    :param min_healthy_time: how long all of this must hold, without a break, and with all checks of the tier's service
        passing on the converged nodes; zero asks for no checks.
    :param progress_deadline: how long no further node may converge before the wait fails; None is the timeout.
    :param timeout: how long one try may take.
    """

    min_converged: Count
    max_failed: Count
    max_lost: Count
    max_absent: Count | None
    min_members: int
    min_healthy_time: timedelta
    progress_deadline: timedelta | None
    timeout: timedelta

    def __init__(  # noqa: PLR0917 - as a dataclass has it
        self,
        min_converged: int | str | Count = "100%",
        max_failed: int | str | Count = 0,
        max_lost: int | str | Count = 0,
        max_absent: int | str | Count | None = None,
        min_members: int = 1,
        min_healthy_time: timedelta = timedelta(0),
        progress_deadline: timedelta | None = None,
        timeout: timedelta = timedelta(minutes=30),
    ) -> None:
        """Refuse what can never be meant.

        :raises InvalidInput: names the parameter.
        """
        given: dict[str, Any] = {
            "min_converged": Count.parse("min_converged", min_converged),
            "max_failed": Count.parse("max_failed", max_failed),
            "max_lost": Count.parse("max_lost", max_lost),
            "max_absent": None if max_absent is None else Count.parse("max_absent", max_absent),
            "min_members": min_members,
            "min_healthy_time": min_healthy_time,
            "progress_deadline": progress_deadline,
            "timeout": timeout,
        }
        if type(min_members) is not int or min_members < 1:
            raise InvalidInput(f"min_members must be a number of at least 1, not {min_members!r}")
        for name in _DURATIONS:
            _check_duration(name, given[name])
        if min_healthy_time >= timeout:
            raise InvalidInput(f"min_healthy_time={min_healthy_time} does not fit into timeout={timeout}")
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def to_fields(self) -> dict[str, Any]:
        """The policy as JSON scalars; durations in seconds."""
        return {each.name: _to_scalar(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> ConvergencePolicy:
        """What :meth:`to_fields` gave."""
        durations = {name: timedelta(seconds=given[name]) for name in _DURATIONS if given[name] is not None}
        return cls(**{**given, **durations})


def _to_scalar(value: Count | timedelta | int | None) -> int | float | str | None:
    match value:
        case Count():
            return value.written
        case timedelta():
            return value.total_seconds()
        case _:
            return value


def check_policy(name: str, policy: object) -> ConvergencePolicy:
    """Return ``policy`` when it is one.

    :raises InvalidInput: names the parameter.
    """
    if isinstance(policy, ConvergencePolicy):
        return policy
    raise InvalidInput(f"{name} must be a ConvergencePolicy, not {policy!r}")


def _check_duration(name: str, duration: object) -> None:
    if name == "progress_deadline" and duration is None:
        return
    if not isinstance(duration, timedelta):
        raise InvalidInput(f"{name} must be a timedelta, not {duration!r}")
    if duration < timedelta(0) or (duration == timedelta(0) and name != "min_healthy_time"):
        raise InvalidInput(f"{name} must be a timedelta above zero, not {duration!r}")
    if duration > _LONGEST:
        raise InvalidInput(f"{name} must be at most {_LONGEST.days} days, not {duration}")
