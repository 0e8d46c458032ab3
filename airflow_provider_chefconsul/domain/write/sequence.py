"""The logical time of a write, as authors give it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.exceptions import InvalidInput

_LATEST = 253402300799  # the year 9999; milliseconds by mistake would make every later write stale for good


def parse_sequence(given: Any) -> int:
    """The sequence in seconds since the epoch.

    :param given: a number of seconds, an aware time, or either as text (ISO 8601).
    :raises InvalidInput: it is none of these.
    """
    number = parse_number(given)
    if number is not None:
        given = number
    if type(given) is int and 0 <= given <= _LATEST:
        return given
    if isinstance(given, datetime) and given.tzinfo is not None:
        return int(given.timestamp())
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return int(moment.timestamp())
    raise InvalidInput(
        f"sequence must be seconds since the epoch, or a time with its zone such as 2026-11-22T08:00:00+00:00, "
        f"not {given!r}"
    )


def describe_sequence(sequence: int) -> str:
    """A sequence as a date, for people: "2026-11-22T08:00:00Z"."""
    if not 0 <= sequence <= _LATEST:  # another client's, beyond the range of dates
        return str(sequence)
    return datetime.fromtimestamp(sequence, UTC).isoformat().replace("+00:00", "Z")
