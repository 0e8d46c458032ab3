"""Times in documents, and how long ago they were: for people only; no decision rests on them."""

from __future__ import annotations

from datetime import datetime, timedelta

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_SKEW = timedelta(seconds=5)  # further ahead than that, two clocks differ


def read_moment(text: str | None) -> datetime | None:
    """The aware time that an ISO 8601 text gives; None if it gives none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def span(moment: datetime, now: datetime) -> str:
    """The time since a moment in its largest unit, such as "4 minutes"; "0 seconds" if it lies ahead."""
    seconds = max(0, int((now - moment).total_seconds()))
    for length, unit in _UNITS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was, such as "4 minutes ago"; empty for None."""
    if moment is None:
        return ""
    if moment > now + _SKEW:
        return f"at {moment.isoformat(timespec='seconds')} by another clock"
    return f"{span(moment, now)} ago"
