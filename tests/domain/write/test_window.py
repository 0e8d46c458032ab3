"""Change windows: when they are open, around midnight, holidays and daylight saving time."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.write.window import ChangeWindow, check_window
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.examples import examples

WORK = ("Mon-Thu 09:00-16:00", "Fri 09:00-12:00")
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    """A moment, written with its offset."""
    return datetime.fromisoformat(text)


def make_window(*hours: str, timezone: str = BERLIN, **options: Any) -> ChangeWindow:
    """Working hours in Berlin."""
    return ChangeWindow(*(hours or WORK), timezone=timezone, **options)


@pytest.mark.parametrize(
    ("now", "opening", "closing"),
    [
        ("2026-11-30T08:59:59+01:00", "2026-11-30T09:00+01:00", "2026-11-30T16:00+01:00"),
        ("2026-11-30T09:00:00+01:00", "2026-11-30T09:00+01:00", "2026-11-30T16:00+01:00"),
        ("2026-11-30T15:59:59+01:00", "2026-11-30T15:59:59+01:00", "2026-11-30T16:00+01:00"),
        ("2026-11-30T16:00:00+01:00", "2026-12-01T09:00+01:00", "2026-12-01T16:00+01:00"),
        ("2026-12-03T20:00:00+01:00", "2026-12-04T09:00+01:00", "2026-12-04T12:00+01:00"),
        ("2026-12-04T13:00:00+01:00", "2026-12-07T09:00+01:00", "2026-12-07T16:00+01:00"),
        ("2026-11-30T02:30:00-05:00", "2026-11-30T09:00+01:00", "2026-11-30T16:00+01:00"),
    ],
)
def test_working_hours(now, opening, closing):
    """They hold from the first minute to the last, whatever clock the moment is written by."""
    window = make_window()
    assert window.is_open(at(now)) is (at(opening) == at(now))
    assert window.next_opening(at(now)) == at(opening)
    assert window.closes_at(at(now)) == at(closing)


@pytest.mark.parametrize(
    ("hours", "now", "opening", "closing"),
    [
        ("Fri 22:00-02:00", "2026-12-04T21:00+01:00", "2026-12-04T22:00+01:00", "2026-12-05T02:00+01:00"),
        ("Fri 22:00-02:00", "2026-12-05T01:59+01:00", "2026-12-05T01:59+01:00", "2026-12-05T02:00+01:00"),
        ("Fri 22:00-02:00", "2026-12-04T01:00+01:00", "2026-12-04T22:00+01:00", "2026-12-05T02:00+01:00"),
        ("Sun 22:00-00:00", "2026-12-06T23:00+01:00", "2026-12-06T23:00+01:00", "2026-12-07T00:00+01:00"),
        ("Sat 00:00-00:00", "2026-12-04T12:00+01:00", "2026-12-05T00:00+01:00", "2026-12-06T00:00+01:00"),
        ("Sat-Mon 9:00-10:00", "2026-12-04T12:00+01:00", "2026-12-05T09:00+01:00", "2026-12-05T10:00+01:00"),
        ("Sat-Mon 9:00-10:00", "2026-12-06T12:00+01:00", "2026-12-07T09:00+01:00", "2026-12-07T10:00+01:00"),
        ("Sat-Mon 9:00-10:00", "2026-12-07T12:00+01:00", "2026-12-12T09:00+01:00", "2026-12-12T10:00+01:00"),
    ],
)
def test_over_midnight_and_over_the_week(hours, now, opening, closing):
    """Hours belong to the day on which they begin; ranges of days may go over Sunday."""
    window = make_window(hours)
    assert window.next_opening(at(now)) == at(opening)
    assert window.closes_at(at(now)) == at(closing)


def test_hours_that_follow_each_other_are_one_opening():
    """Written apart because the days differ."""
    window = make_window("Sat 00:00-02:00", "Fri 22:00-00:00", "Sat 02:00-03:00", "Sat 04:00-05:00")
    assert window.closes_at(at("2026-12-04T23:00+01:00")) == at("2026-12-05T03:00+01:00")


@pytest.mark.parametrize(
    ("holidays", "opening"),
    [
        ([], "2026-12-25T22:00+01:00"),
        (["2026-12-25"], "2027-01-01T22:00+01:00"),
        ([date(2026, 12, 25), "2027-01-01"], "2027-01-08T22:00+01:00"),
        (["2026-12-26"], "2026-12-25T22:00+01:00"),
    ],
)
def test_no_hours_begin_on_a_holiday(holidays, opening):
    """Those that began the day before go on into it."""
    window = make_window("Fri 22:00-02:00", holidays=holidays)
    assert window.next_opening(at("2026-12-25T12:00+01:00")) == at(opening)
    assert window.is_open(at("2026-12-26T01:00+01:00")) is (opening < "2026-12-26")


@pytest.mark.parametrize(
    ("timezone", "hours", "now", "opening", "closing"),
    [
        # Berlin's clocks went from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
        (BERLIN, "Sun 09:00-16:00", "2026-03-28T12:00+01:00", "2026-03-29T09:00+02:00", "2026-03-29T16:00+02:00"),
        (BERLIN, "Sun 01:00-05:00", "2026-03-28T12:00+01:00", "2026-03-29T01:00+01:00", "2026-03-29T05:00+02:00"),
        (BERLIN, "Sun 02:30-05:00", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T05:00+02:00"),
        (BERLIN, "Sun 01:00-02:30", "2026-03-28T12:00+01:00", "2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"),
        (BERLIN, "Sun 02:00-03:00", "2026-03-28T12:00+01:00", "2026-04-05T02:00+02:00", "2026-04-05T03:00+02:00"),
        (BERLIN, "Sat 22:00-02:30", "2026-03-28T12:00+01:00", "2026-03-28T22:00+01:00", "2026-03-29T03:00+02:00"),
        (BERLIN, "Sun 09:00-16:00", "2026-10-24T12:00+02:00", "2026-10-25T09:00+01:00", "2026-10-25T16:00+01:00"),
        (BERLIN, "Sun 01:00-05:00", "2026-10-24T12:00+02:00", "2026-10-25T01:00+02:00", "2026-10-25T05:00+01:00"),
        (BERLIN, "Sun 02:00-02:30", "2026-10-24T12:00+02:00", "2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00"),
        (BERLIN, "Sun 02:00-02:30", "2026-10-25T02:10+01:00", "2026-11-01T02:00+01:00", "2026-11-01T02:30+01:00"),
        (BERLIN, "Sun 02:30-04:00", "2026-10-25T02:10+01:00", "2026-10-25T02:10+01:00", "2026-10-25T04:00+01:00"),
        # New York's from 02:00 to 03:00 on 2026-03-08, and from 02:00 to 01:00 on 2026-11-01.
        (NEW_YORK, "Sun 09:00-16:00", "2026-03-07T12:00-05:00", "2026-03-08T09:00-04:00", "2026-03-08T16:00-04:00"),
        (NEW_YORK, "Sun 02:30-05:00", "2026-03-07T12:00-05:00", "2026-03-08T03:00-04:00", "2026-03-08T05:00-04:00"),
        (NEW_YORK, "Sun 01:00-02:30", "2026-03-07T12:00-05:00", "2026-03-08T01:00-05:00", "2026-03-08T03:00-04:00"),
        (NEW_YORK, "Sun 09:00-16:00", "2026-10-31T12:00-04:00", "2026-11-01T09:00-05:00", "2026-11-01T16:00-05:00"),
        (NEW_YORK, "Sun 01:00-01:30", "2026-10-31T12:00-04:00", "2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00"),
        (NEW_YORK, "Sat 22:00-01:30", "2026-11-01T01:10-05:00", "2026-11-07T22:00-05:00", "2026-11-08T01:30-05:00"),
        # Havana's day ended an hour late: from 01:00 to 00:00 on 2026-11-01.
        ("America/Havana", "Sat 22:00-00:30", "2026-11-01T00:10-05:00", "2026-11-07T22:00-05:00",
         "2026-11-08T00:30-05:00"),
        # St. John's Sunday began before its Saturday ended: from 00:01 to 23:01 on 2010-11-07.
        ("America/St_Johns", "Sun 00:00-05:00", "2010-11-06T23:30-03:30", "2010-11-06T23:30-03:30",
         "2010-11-07T05:00-03:30"),
        # Samoa skipped all of 2011-12-30, a Friday.
        ("Pacific/Apia", "Fri 09:00-16:00", "2011-12-29T12:00-10:00", "2012-01-06T09:00+14:00",
         "2012-01-06T16:00+14:00"),
    ],
)  # fmt: skip
def test_daylight_saving_time(timezone, hours, now, opening, closing):
    """The hours stay those of the clock; skipped times are the end of the gap, repeated ones the first of the two."""
    window = make_window(hours, timezone=timezone)
    assert window.next_opening(at(now)) == at(opening)
    assert window.closes_at(at(now)) == at(closing)
    assert window.is_open(at(opening))
    assert not window.is_open(at(closing))


def test_window_that_is_always_open_says_when_that_ends():
    """As far as anybody looks ahead: its holidays may be the end."""
    window = make_window("Mon-Sun 00:00-00:00", holidays=["2026-12-24"])
    assert window.closes_at(at("2026-12-04T12:00+01:00")) == at("2026-12-24T00:00+01:00")


def test_window_that_never_opens():
    """All its days are holidays: to wait for it would be to wait for good."""
    mondays = [date(2026, 11, 30) + timedelta(weeks=number) for number in range(530)]
    window = make_window("Mon 09:00-16:00", holidays=mondays)
    with pytest.raises(InvalidInput, match="Mon 09:00-16:00 Europe/Berlin does not open within ten years"):
        window.next_opening(at("2026-11-30T08:00+01:00"))


@pytest.mark.parametrize(
    ("hours", "options", "words"),
    [
        ([], {}, "a change window without hours never opens"),
        (["09:00-16:00"], {}, 'hours of a change window are written like "Mon-Thu 09:00-16:00", not \'09:00-16:00\''),
        (["Mon 09:00\u201316:00"], {}, "are written like"),
        (["Mon,Tue 09:00"], {}, "are written like"),
        ([900], {}, "are written like .* not 900"),
        (["Mno-Fri 09:00-16:00"], {}, 'change window "Mno-Fri 09:00-16:00": unknown day Mno; expected one of Mon,'),
        (["Mon-friday 09:00-16:00"], {}, "unknown day friday"),
        (["Mon 09:00-24:00"], {}, "24:00 is not a time of day; expected 00:00 to 23:59; midnight is 00:00"),
        (["Mon 25:00-26:00"], {}, "25:00 is not a time of day"),
        (["Mon 09:60-10:00"], {}, "09:60 is not a time of day"),
        (["Mon 9-10"], {}, "9 is not a time of day"),
        (["Mon 09:00:00-10:00"], {}, "09:00:00 is not a time of day"),
        (["Mon 09:00-09:00"], {}, "ends when it begins; 00:00-00:00 is a whole day"),
        (["Mon-Thu 09:00-16:00", "Wed-Fri 15:00-17:00"], {},
         'change windows "Mon-Thu 09:00-16:00" and "Wed-Fri 15:00-17:00" overlap on Wed'),
        (["Mon 09:00-16:00", "Mon 09:00-16:00"], {}, "overlap on Mon"),
        (["Fri 22:00-02:00", "Sat 01:00-03:00"], {}, "overlap on Sat"),
        (["Sun 22:00-02:00", "Mon 01:00-03:00"], {}, "overlap on Mon"),
        (["Mon 00:00-00:00", "Sun 23:00-01:00"], {}, "overlap on Mon"),
        (WORK, {"timezone": "Europe/Brelin"}, "unknown timezone 'Europe/Brelin', did you mean 'Europe/Berlin'"),
        (WORK, {"timezone": "xyzzy"}, "unknown timezone 'xyzzy'; expected one such as"),
        (WORK, {"timezone": ""}, "unknown timezone ''"),
        (WORK, {"timezone": None}, "unknown timezone None"),
        (WORK, {"timezone": "../../etc/passwd"}, "unknown timezone"),
        (WORK, {"holidays": "2026-12-24"}, "holidays must be a list of dates"),
        (WORK, {"holidays": 5}, "holidays must be a list of dates"),
        (WORK, {"holidays": ["24.12.2026"]}, "holiday '24.12.2026' is not a date"),
        (WORK, {"holidays": [datetime(2026, 12, 24, tzinfo=UTC)]}, "is not a date"),
        (WORK, {"holidays": [20261224]}, "holiday 20261224 is not a date"),
    ],
)  # fmt: skip
def test_bad_input(hours, options, words):
    """One clear error that names the thing."""
    with pytest.raises(InvalidInput, match=words):
        ChangeWindow(*hours, **{"timezone": BERLIN} | options)


@pytest.mark.parametrize("wrong", ["Mon-Thu 09:00-16:00", WORK, 5, ChangeWindow])
def test_parameter_that_is_no_window(wrong):
    """An operator's, which may be None."""
    assert check_window(None) is None
    assert check_window(make_window()) == make_window()
    with pytest.raises(InvalidInput, match="window must be a ChangeWindow, not "):
        check_window(wrong)


def test_stored_form():
    """JSON makes an equal window, and so does pickle; its words are the author's."""
    window = make_window(*WORK[::-1], holidays=["2026-12-25", date(2026, 12, 24)])
    fields = window.to_fields()
    assert fields == {
        "hours": ["Fri 09:00-12:00", "Mon-Thu 09:00-16:00"],
        "timezone": "Europe/Berlin",
        "holidays": ["2026-12-24", "2026-12-25"],
    }
    assert ChangeWindow.from_fields(json.loads(json.dumps(fields))) == window
    assert pickle.loads(pickle.dumps(window)) == window
    assert str(window) == "Fri 09:00-12:00, Mon-Thu 09:00-16:00 Europe/Berlin"


CLOCK = st.times().map(lambda each: f"{each:%H:%M}")
DAYS = st.lists(st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]), min_size=1, max_size=2)
HOURS = st.builds(lambda days, begin, end: f"{'-'.join(days)} {begin}-{end}", DAYS, CLOCK, CLOCK)
# Lord Howe's clocks go by half an hour; Havana's and Santiago's change at midnight.
ZONES = st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/Havana", "America/Santiago", "UTC"])
# Around the changes of 2026, where the rules meet, and everywhere else.
MOMENTS = st.one_of(
    *(
        st.timedeltas(-timedelta(days=1), timedelta(days=1)).map(change.__add__)
        for change in map(at, ("2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z"))
    ),
    st.timedeltas(timedelta(0), timedelta(days=7300)).map(at("2020-01-01T00:00Z").__add__),
)


@st.composite
def windows(draw: st.DrawFn) -> ChangeWindow:
    """Any of up to four ranges of hours that do not overlap, with holidays among the days that are looked at."""
    hours, holidays = draw(st.lists(HOURS, min_size=1, max_size=4)), st.dates(date(2026, 3, 1), date(2026, 11, 10))
    try:
        return ChangeWindow(*hours, timezone=draw(ZONES), holidays=draw(st.lists(holidays, max_size=5)))
    except InvalidInput:
        assume(False)
        raise


def shows(window: ChangeWindow, now: datetime) -> bool:
    """Whether the clock shows one of the window's hours, read without looking for where they begin or end."""
    shown = now.astimezone(window.timezone).replace(tzinfo=None)
    return any(
        begin <= shown < end
        for each in window.hours
        for day in (shown.date(), shown.date() - timedelta(days=1))
        if day.weekday() in each.days and day not in window.holidays
        for begin, end in [each.on(day)]
    )


@given(windows(), MOMENTS)
@settings(max_examples=examples())
def test_next_opening_is_the_first(window, now):
    """It is open then, and at no time before; until it closes, it stays open."""
    opening = window.next_opening(now)
    closing = window.closes_at(now)
    assert now <= opening < closing
    assert window.is_open(opening)
    assert not window.is_open(closing) or closing > now + timedelta(days=3650)  # nobody looks further ahead
    for part in range(10):
        assert opening == now or not window.is_open(now + (opening - now) * part / 10)
        assert window.is_open(opening + (closing - opening) * part / 10)
    if opening > now:
        assert not window.is_open(opening - timedelta(microseconds=1))


@given(windows(), MOMENTS)
@settings(max_examples=examples())
def test_it_is_open_when_the_clock_shows_its_hours(window, now):
    """Where the clock shows a time twice, the rule chooses; everywhere else, the clock alone decides."""
    zone: ZoneInfo = window.timezone
    offsets = {(now + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in (-2, 0, 2)}
    assume(len(offsets) == 1)
    assert window.is_open(now) is shows(window, now)
