"""When the waves of a rollout could begin within a change window."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.write.decision import Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.opening import find_openings
from airflow_provider_chefconsul.domain.write.plan import PlannedWave
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from tests.support.factory import make_desired

# In Berlin, daylight saving time ends on Sunday, 2026-10-25.
WINDOW = ChangeWindow("Mon-Thu 09:00-16:00", "Fri 09:00-12:00", timezone="Europe/Berlin", holidays=["2026-10-27"])
MOVING = PlannedWave(None, Write(make_desired(), 7, is_new=True))
RECORDING = PlannedWave(None, Write(make_desired(), 7, is_new=False, assigns=False))


def hours(count: float) -> timedelta:
    """So many."""
    return timedelta(hours=count)


def at(text: str) -> datetime:
    """A moment in October 2026."""
    return datetime.fromisoformat(f"2026-10-{text}")


@pytest.mark.parametrize(
    ("now", "takes", "expected"),
    [
        ("23T07:30Z", hours(0), ["23T07:30Z 23T10:00Z"] * 3),
        ("23T04:00Z", hours(0), ["23T07:00Z 23T10:00Z"] * 3),
        ("23T07:30Z", hours(2), ["23T07:30Z 23T10:00Z", "23T09:30Z 23T10:00Z", "26T08:00Z 26T15:00Z"]),
        ("23T10:00Z", hours(7), ["26T08:00Z 26T15:00Z", "28T08:00Z 28T15:00Z", "29T08:00Z 29T15:00Z"]),
    ],
    ids=["open", "before it opens", "over the end of daylight saving time", "over a holiday"],
)
def test_waves_of_a_rollout(now, takes, expected):
    """Each begins within an opening, when the one before it has taken its time."""
    found = find_openings([MOVING] * 3, WINDOW, now=at(now), wave_takes=takes)
    openings = [tuple(map(at, each.split())) for each in expected]
    assert [each and (each.begin, each.end) for each in found] == openings


@pytest.mark.parametrize("still", [PlannedWave(None, Unchanged(7)), PlannedWave(None, Refused("stale")), RECORDING])
def test_what_assigns_nothing_waits_for_nothing(still):
    """And takes no time."""
    first, second, third = find_openings([MOVING, still, MOVING], WINDOW, now=at("26T08:00Z"), wave_takes=hours(1))
    assert (first and first.begin, second, third and third.begin) == (at("26T08:00Z"), None, at("26T09:00Z"))


@given(
    now=st.integers(0, 366 * 24 * 60).map(lambda minutes: at("01T00:00Z") + timedelta(minutes=minutes)),
    takes=st.timedeltas(timedelta(0), timedelta(days=9)),
)
def test_every_wave_begins_while_the_window_is_open(now, takes):
    """At the first such moment after the wave before it."""
    earliest = now
    for each in find_openings([MOVING] * 4, WINDOW, now=now, wave_takes=takes):
        assert each is not None
        assert WINDOW.is_open(each.begin)
        assert earliest <= each.begin < each.end
        assert each.begin == earliest or not WINDOW.is_open(each.begin - timedelta(microseconds=1))
        earliest = each.begin + takes
