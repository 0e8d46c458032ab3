"""Times in documents, and how long ago they were: for people only; no decision rests on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_ABBREVIATIONS = {"day": "d", "hour": "h", "minute": "min", "second": "s"}
_SKEW = timedelta(seconds=5)  # further ahead than that, two clocks differ


def read_moment(text: str | None) -> datetime | None:
    """The aware time that an ISO 8601 text gives; None if it gives none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def write_moment(moment: datetime, *, timespec: str = "seconds") -> str:
    """The ISO 8601 text of a moment in UTC, such as "2026-03-01T12:00:00Z"."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def span(moment: datetime, now: datetime) -> str:
    """The time since a moment in its largest unit, such as "4 minutes"; "0 seconds" if it lies ahead."""
    return _counted(*_largest_unit(moment, now))


def whole_span(seconds: int) -> str:
    """A duration in the largest unit of which it is a whole number, such as "10 minutes" or "90 seconds"."""
    length, unit = next(each for each in _UNITS if seconds % each[0] == 0)
    return _counted(seconds // length, unit)


def short_span(moment: datetime, now: datetime) -> str:
    """:func:`span` abbreviated, such as "4 min"."""
    count, unit = _largest_unit(moment, now)
    return f"{count} {_ABBREVIATIONS[unit]}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was, such as "4 minutes ago"; empty for None."""
    if moment is None:
        return ""
    if moment > now + _SKEW:
        return f"at {moment.isoformat(timespec='seconds')} by another clock"
    return f"{span(moment, now)} ago"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _largest_unit(moment: datetime, now: datetime) -> tuple[int, str]:
    seconds = max(0, int((now - moment).total_seconds()))  # the clocks of nodes may be ahead
    length, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return seconds // length, unit
