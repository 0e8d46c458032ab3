"""A clock that nobody can set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.steady_clock import SteadyClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_time_goes_on_whatever_the_wall_clock_says():
    """A wall clock set an hour back or forth would end a wait early, or never."""
    wall, seconds = [NOON], [100.0]
    clock = SteadyClock(lambda: wall[0], lambda: seconds[0])
    assert clock.now() == NOON
    for jump in (-1, 1):
        wall[0], seconds[0] = NOON + timedelta(hours=jump), seconds[0] + 10
        assert clock.now() == NOON + timedelta(seconds=seconds[0] - 100)


def test_it_begins_with_the_time_of_day():
    """Deadlines are points in time that come from elsewhere."""
    assert abs(SteadyClock().now() - datetime.now(UTC)) < timedelta(seconds=30)
