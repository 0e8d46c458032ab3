"""Numbers of nodes as authors write them: a number, or a percentage of how many there are."""

from __future__ import annotations

import re

from airflow_provider_chefconsul.exceptions import InvalidInput

Count = int | str
_PERCENT = re.compile(r"(\d{1,3})%")


def check_count(name: str, count: object) -> Count:
    """Return ``count`` when it is a number of at least 0 or "0%" to "100%".

    :raises InvalidInput: names the parameter.
    """
    if type(count) is int and count >= 0:
        return count
    if isinstance(count, str) and (match := _PERCENT.fullmatch(count)) and int(match[1]) <= 100:  # noqa: PLR2004
        return count
    raise InvalidInput(f'{name} must be a number of nodes or "0%" to "100%", not {count!r}')


def ceiling_of(count: Count, total: int) -> int:
    """How many nodes a count means, a percentage rounded up: for what must at least be reached."""
    return count if isinstance(count, int) else -(-total * int(count[:-1]) // 100)


def floor_of(count: Count, total: int) -> int:
    """How many nodes a count means, a percentage rounded down: for what must not be exceeded."""
    return count if isinstance(count, int) else total * int(count[:-1]) // 100


_MOST_DIGITS = 18  # beyond what anything is counted in here; Python refuses to convert some thousands


def parse_number(text: object) -> int | None:
    """The number that a text of digits says; None when it is anything else."""
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number and isinstance(text, str) else None
