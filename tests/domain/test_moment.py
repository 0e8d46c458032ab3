"""Points in time, and how long ago they were."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.moment import ago, read_moment, short_span, span, whole_span, write_moment
from tests.support.factory import NOW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (31 * 86400, "31 days"),
    ],
)
def test_span_is_in_its_largest_unit(seconds, words):
    """Nobody wants to read 7200 seconds."""
    assert span(NOW - timedelta(seconds=seconds), NOW) == words
    assert ago(NOW - timedelta(seconds=seconds), NOW) == f"{words} ago"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (600, "10 minutes"),
        (5400, "90 minutes"),
        (86400, "1 day"),
    ],
)
def test_whole_span_leaves_nothing_out(seconds, words):
    """What somebody declared is told as it is."""
    assert whole_span(seconds) == words


def test_future_time_shows_that_clocks_differ():
    """Slightly in the future counts as now; more is shown verbatim."""
    assert ago(NOW + timedelta(seconds=4), NOW) == "0 seconds ago"
    assert ago(NOW + timedelta(hours=1), NOW) == "at 2026-11-22T09:00:00+00:00 by another clock"
    assert ago(None, NOW) == ""


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-11-22T08:00:00", "2026-13-01T00:00:00Z"])
def test_text_that_is_no_time(text):
    """Documents contain times as text, which may be anything."""
    assert read_moment(text) is None


@given(st.datetimes(timezones=st.just(NOW.tzinfo)))
def test_times_are_parsed(moment):
    """In both ISO 8601 forms of UTC."""
    assert read_moment(moment.isoformat()) == moment
    assert read_moment(moment.isoformat().replace("+00:00", "Z")) == moment


def test_table_abbreviates_the_unit():
    """A column is narrow; a node's clock may be ahead."""
    assert short_span(NOW - timedelta(seconds=240), NOW) == "4 min"
    assert short_span(NOW + timedelta(hours=1), NOW) == "0 s"


def test_moment_is_written_in_utc_and_read_back():
    """What one writes, another reads, whatever the zone of the clock."""
    moment = NOW.astimezone(timezone(timedelta(hours=2)))
    assert write_moment(moment) == "2026-11-22T08:00:00Z"
    assert read_moment(write_moment(moment)) == NOW
