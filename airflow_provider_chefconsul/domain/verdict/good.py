"""Whether what a tier is assigned is good: all of it converged, and nothing else is out. Pure; time is a parameter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalEntry, find_good
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment, write_moment


@dataclass(frozen=True, slots=True)
class Good:
    """What all of a tier is assigned, and has converged on.

    :param since: when a wait first found it so; timezone-aware.
    """

    assignment: Assignment
    since: datetime


@dataclass(frozen=True, slots=True)
class NotGood:
    """Why what a tier is assigned is not good."""

    reason: str


def judge_good(
    desired: DesiredState | Unreadable | None,
    journal: Iterable[JournalEntry],
    tier: str,
    *,
    state: str,
    min_age: timedelta,
    now: datetime,
) -> Good | NotGood:
    """Judge what a tier is assigned now.

    :param state: the state that it must be in.
    :param min_age: for how long it must have been good.
    """
    match desired:
        case None:
            return NotGood("it has no desired state")
        case Unreadable():
            return NotGood(f"its desired state cannot be read: {desired}")
        case DesiredState(canary=canary) if canary is not None:
            return NotGood(f"a canary is out: {canary.assignment.describe()}")
        case DesiredState(stable=assignment) if assignment.state != state:
            return NotGood(f"it is in state {assignment.state}, not {state}")
        case DesiredState(stable=assignment):
            since = read_moment(find_good(journal, tier).get((assignment.generation, assignment.id)))
            return _judge_age(assignment, since, min_age, now)


def _judge_age(assignment: Assignment, since: datetime | None, min_age: timedelta, now: datetime) -> Good | NotGood:
    if since is None:
        return NotGood(f"the journal does not tell that all of it converged on {assignment.describe()}")
    if now - since < min_age:
        return NotGood(
            f"all of it converged on {assignment.describe()} only at {write_moment(since)}; min_age={min_age} is over "
            f"at {write_moment(since + min_age)}"
        )
    return Good(assignment, since)
