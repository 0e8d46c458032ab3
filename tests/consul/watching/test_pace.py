"""How much time is left, from how many were missing at some moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.watching.pace import Pace

moments = st.lists(st.tuples(st.integers(-1, 1000), st.floats(0, 60)), max_size=20)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(100, 0.0)], None),  # one moment says nothing
        ([(100, 0.0), (90, 1.0)], 9.0),
        ([(100, 0.0), (50, 1.0), (25, 2.0)], 25 / 37.5),  # the newest pace counts for half
        ([(100, 0.0), (100, 1.0)], None),  # nobody came
        ([(100, 0.0), (50, 1.0), (0, 2.0)], None),  # nobody is missing
        ([(50, 0.0), (100, 1.0)], None),  # another generation: all are missing again
        ([(100, 1.0), (50, 1.0)], None),  # the same read
    ],
)
def test_seconds_left(seen, expected):
    """As long as the missing need at the pace of the others."""
    pace, left = Pace(), None
    for missing, at in seen:
        left = pace.seconds_left(missing, at=at, since=0.0)
    assert left == pytest.approx(expected)


def test_a_pause_before_the_news_does_not_count():
    """The first hundred of a burst, after an hour of silence: nine hundred are left for nine times as long."""
    pace = Pace()
    pace.seconds_left(1000, at=0.0, since=0.0)
    assert pace.seconds_left(900, at=3600.1, since=3600.0) == pytest.approx(0.9)


@given(moments)
def test_time_left_is_positive_or_unknown(seen):
    """Whatever comes and goes."""
    pace, now = Pace(), 0.0
    for missing, seconds in seen:
        now += seconds
        left = pace.seconds_left(missing, at=now, since=now - seconds / 2)
        assert left is None or left > 0
