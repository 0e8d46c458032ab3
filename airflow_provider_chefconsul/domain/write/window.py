"""When changes may be made: hours of the week on the clock of a time zone, but for holidays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from airflow_provider_chefconsul.domain.model.name import nearest
from airflow_provider_chefconsul.exceptions import InvalidInput

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = re.compile(r"(?P<first>[^\s-]+)(?:-(?P<last>[^\s-]+))?\s+(?P<begin>[\d:]+)-(?P<end>[\d:]+)", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_MIDNIGHT = time()
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_WEEK = 7 * _DAY
_SEARCHED_DAYS = 3653  # ten years


@dataclass(frozen=True, slots=True)
class Hours:
    """From when until when, on which days; over midnight when the end is not later than the beginning.

    :param written: as the author wrote them.
    :param days: those on which they begin; 0 is Monday.
    """

    written: str
    days: tuple[int, ...]
    begin: time
    end: time

    @classmethod
    def parse(cls, written: object) -> Hours:
        """Read hours as authors write them.

        :raises InvalidInput: names what is wrong with them.
        """
        found = _FORM.fullmatch(written) if isinstance(written, str) else None
        if found is None:
            raise InvalidInput(f'hours of a change window are written like "Mon-Thu 09:00-16:00", not {written!r}')
        try:
            first, last = (_parse_day(found[name] or found["first"]) for name in ("first", "last"))
            begin, end = (_parse_time(found[name]) for name in ("begin", "end"))
        except InvalidInput as error:
            raise InvalidInput(f'change window "{found[0]}": {error}') from None
        if begin == end != _MIDNIGHT:
            raise InvalidInput(f'change window "{found[0]}" ends when it begins; 00:00-00:00 is a whole day')
        return cls(found[0], tuple((first + number) % 7 for number in range((last - first) % 7 + 1)), begin, end)

    def on(self, day: date) -> tuple[datetime, datetime]:
        """Begin and end, on the clock, of the hours that begin on a day."""
        return datetime.combine(day, self.begin), datetime.combine(day + self._is_overnight * _DAY, self.end)

    @property
    def _is_overnight(self) -> bool:
        return self.end <= self.begin


@dataclass(frozen=True, slots=True, init=False)
class ChangeWindow:
    """When changes may be made.

    Hours are those that the clock shows, also when daylight saving time begins or ends. A time that the clock skips
    counts as the moment after the gap; one that it shows twice, as the first of the two. Hours that go over midnight
    belong to the day on which they begin.

    :param hours: days of the week and hours, such as ``"Mon-Thu 09:00-16:00"``, ``"Sat 00:00-00:00"`` for a whole day,
        or ``"Fri 22:00-02:00"``, which ends on Saturday.
    :param timezone: whose clock they are on, such as ``"Europe/Berlin"``.
    :param holidays: days on which no hours begin; dates, or ISO 8601 text.
    """

    hours: tuple[Hours, ...]
    timezone: ZoneInfo
    holidays: frozenset[date]

    def __init__(self, *hours: str, timezone: str, holidays: Iterable[date | str] = ()) -> None:
        """Check the parameters.

        :raises InvalidInput: names what is wrong.
        """
        if not hours:
            raise InvalidInput('a change window without hours never opens; name some, such as "Mon-Thu 09:00-16:00"')
        parsed = tuple(Hours.parse(each) for each in hours)
        _check_apart(parsed)
        object.__setattr__(self, "hours", parsed)
        object.__setattr__(self, "timezone", _parse_timezone(timezone))
        object.__setattr__(self, "holidays", _parse_holidays(holidays))

    def is_open(self, now: datetime) -> bool:
        """Whether changes may be made at a moment.

        :param now: aware, here and below.
        """
        return any(begin <= now for begin, _ in self._find_openings(now, days=1))

    def next_opening(self, now: datetime) -> datetime:
        """When the window opens, in UTC: ``now`` if it is open.

        :raises InvalidInput: it does not open within ten years.
        """
        for begin, _ in self._find_openings(now):
            return max(begin, now.astimezone(UTC))
        raise InvalidInput(f"change window {self} does not open within ten years: every such day is a holiday")

    def closes_at(self, now: datetime) -> datetime:
        """When the window closes, in UTC, once it is open: hours that follow without a gap are one opening.

        One that never closes is looked at for ten years.

        :raises InvalidInput: it does not open within ten years.
        """
        closing = self.next_opening(now)
        for begin, end in self._find_openings(now):
            if begin > closing:
                break
            closing = end
        return closing

    def on_clock(self, moment: datetime) -> str:
        """A moment as people read it on the clock of the window's time zone."""
        return f"{moment.astimezone(self.timezone):%Y-%m-%d %H:%M %Z}"

    def to_fields(self) -> dict[str, Any]:
        """The window as JSON values."""
        return {
            "hours": [each.written for each in self.hours],
            "timezone": self.timezone.key,
            "holidays": [day.isoformat() for day in sorted(self.holidays)],
        }

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> ChangeWindow:
        """Read what :meth:`to_fields` returned."""
        return cls(*given["hours"], timezone=given["timezone"], holidays=given["holidays"])

    def __str__(self) -> str:
        """As people read it."""
        return f"{', '.join(each.written for each in self.hours)} {self.timezone.key}"

    def _find_openings(self, now: datetime, days: int = _SEARCHED_DAYS) -> Iterator[tuple[datetime, datetime]]:
        """Begin and end, in UTC, of the hours that end after a moment, in order.

        :param days: how many days to look ahead, besides those of the moment and before.
        """
        today = now.astimezone(self.timezone).date()
        for number in range(-1, days + 1):
            day = today + number * _DAY
            if day in self.holidays:
                continue
            for shown in sorted(each.on(day) for each in self.hours if day.weekday() in each.days):
                begin, end = map(self._find_moment, shown)
                if max(begin, now) < end:  # the clock may skip all of them
                    yield begin, end

    def _find_moment(self, shown: datetime) -> datetime:
        """The moment, in UTC, at which the clock shows a time."""
        while True:
            moment = shown.replace(tzinfo=self.timezone).astimezone(UTC)
            if moment.astimezone(self.timezone).replace(tzinfo=None) == shown:
                return moment
            shown += _MINUTE


def check_window(window: object) -> ChangeWindow | None:
    """Return ``window`` if it is one, or None.

    :raises InvalidInput: it is anything else.
    """
    if window is None or isinstance(window, ChangeWindow):
        return window
    raise InvalidInput(f"window must be a ChangeWindow, not {window!r}")


def _check_apart(hours: Iterable[Hours]) -> None:
    """Refuse hours that overlap, also over midnight and over the end of the week."""
    monday = date(2024, 1, 1)  # any that is one
    week = sorted((*each.on(monday + day * _DAY), each.written) for each in hours for day in each.days)
    begin, end, written = week[0]
    for (_, closing, earlier), (opening, _, later) in zip(
        week, [*week[1:], (begin + _WEEK, end, written)], strict=True
    ):
        if opening < closing:
            raise InvalidInput(f'change windows "{earlier}" and "{later}" overlap on {_DAYS[opening.weekday()]}')


def _parse_day(text: str) -> int:
    if text not in _DAYS:
        raise InvalidInput(f"unknown day {text}; expected one of {', '.join(_DAYS)}")
    return _DAYS.index(text)


def _parse_time(text: str) -> time:
    try:
        if found := _TIME.fullmatch(text):
            return time(int(found[1]), int(found[2]))
    except ValueError:
        pass
    raise InvalidInput(f"{text} is not a time of day; expected 00:00 to 23:59; midnight is 00:00, also as an end")


def _parse_timezone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(name)  # type: ignore[arg-type]
    except (LookupError, ValueError, TypeError, AttributeError, OSError):  # "", "../etc", None, 1, "Europe"
        meant = nearest(name, available_timezones()) if isinstance(name, str) else None
        hint = f", did you mean {meant!r}?" if meant else '; expected one such as "Europe/Berlin"'
        raise InvalidInput(f"unknown timezone {name!r}{hint}") from None


def _parse_holidays(given: object) -> frozenset[date]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInput(f'holidays must be a list of dates, such as ["2026-12-24"], not {given!r}')
    return frozenset(map(_parse_holiday, given))


def _parse_holiday(given: object) -> date:
    try:
        if isinstance(given, str):
            return date.fromisoformat(given)
    except ValueError:
        pass
    if isinstance(given, date) and not isinstance(given, datetime):
        return given
    raise InvalidInput(f'holiday {given!r} is not a date; write one like "2026-12-24"')
