"""The pace that an author asks for, and what it comes to for today's members. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_chefconsul.domain.count import Count, parse_number
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace, is_per
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class Pacing:
    """How many nodes may converge at one time, and over how long watching nodes begin.

    :param slots: a number, or a percentage of the members present when it is written; None is any number.
    """

    slots: Count | None = None
    per: str | None = None
    spread_over: timedelta = timedelta(0)

    @property
    def needs_members(self) -> bool:
        """Whether what it comes to depends on the tier's members."""
        return self.slots is not None and self.slots.is_percentage

    def resolve(self, members: Members) -> AssignmentPace:
        """The pace of an assignment; of a percentage, as many slots as it allows, but at least one."""
        present = sum(member.is_present for member in members.values())
        slots = None if self.slots is None else max(1, self.slots.at_most(present))
        return AssignmentPace(slots, self.per, round(self.spread_over.total_seconds()))


def parse_pacing(slots: object = None, per: object = None, spread_over: object = None) -> Pacing:
    """Parse the parameters of operators; see ``SetDesiredStateOperator``.

    :raises InvalidInput: names the parameter.
    """
    if spread_over is not None and not (isinstance(spread_over, timedelta) and spread_over >= timedelta(0)):
        raise InvalidInput(f"spread_over must be a timedelta of zero or more, not {spread_over!r}")
    count = None if slots is None else _parse_slots(slots)
    if per is not None:
        if not (isinstance(per, str) and is_per(per)):
            raise InvalidInput(f'per must be "meta:KEY", not {per!r}')
        if count is None:
            raise InvalidInput("per requires slots: how many nodes of each value may converge at one time")
        if count.is_percentage:
            raise InvalidInput(f"with per, slots must be a number of nodes, not {slots!r}: values have their own sizes")
    return Pacing(count, per, spread_over or timedelta(0))


def _parse_slots(slots: object) -> Count:
    number = parse_number(slots)
    count = Count.of(slots if number is None else number)
    if count is None or count.amount == 0:
        raise InvalidInput(
            f'slots must be a number of nodes from 1 or "1%" to "100%", not {slots!r}; '
            f"to keep all nodes from converging, freeze the tier or declare nothing"
        )
    return count
