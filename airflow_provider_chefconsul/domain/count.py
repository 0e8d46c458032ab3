"""Numbers of nodes as authors write them: a number, or a percentage of how many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_chefconsul.exceptions import InvalidInput

_PERCENTAGE = re.compile(r"(\d{1,3})%", re.ASCII)
_WHOLE = 100
_MOST_DIGITS = 18  # beyond what anything is counted in here; Python refuses to convert some thousands


@dataclass(frozen=True, slots=True, repr=False)
class Count:
    """How many nodes of some: a number, or a percentage of however many there are."""

    amount: int
    is_percentage: bool = False

    @classmethod
    def of(cls, value: object) -> Count | None:
        """The count that is written so, a number of at least 0 or "0%" to "100%"; None for anything else."""
        match value:
            case Count():
                return value
            case int() if type(value) is int and value >= 0:
                return cls(value)
            case str() if (found := _PERCENTAGE.fullmatch(value)) and int(found[1]) <= _WHOLE:
                return cls(int(found[1]), is_percentage=True)
            case _:
                return None

    @classmethod
    def parse(cls, name: str, value: object) -> Count:
        """Read a count as authors write it.

        :param name: the parameter, for the error.
        :raises InvalidInput: it is neither a number of at least 0 nor "0%" to "100%".
        """
        count = cls.of(value)
        if count is None:
            raise InvalidInput(f'{name} must be a number of nodes or "0%" to "100%", not {value!r}')
        return count

    @property
    def written(self) -> int | str:
        """What the author wrote."""
        return f"{self.amount}%" if self.is_percentage else self.amount

    def at_least(self, total: int) -> int:
        """How many of a total must be reached: a percentage is rounded up."""
        return -(-total * self.amount // 100) if self.is_percentage else self.amount

    def at_most(self, total: int) -> int:
        """How many of a total must not be exceeded: a percentage is rounded down."""
        return total * self.amount // 100 if self.is_percentage else self.amount

    def __str__(self) -> str:
        """The form that authors write."""
        return str(self.written)

    def __repr__(self) -> str:
        """The literal that authors write, as in ``max_failed='10%'``."""
        return repr(self.written)


def parse_number(text: object) -> int | None:
    """The number that a text of digits says; None when it is anything else."""
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number and isinstance(text, str) else None
