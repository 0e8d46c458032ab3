"""A clock that ignores changes of the machine's time. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic


class SteadyClock:
    """The time of day at creation, advanced by the monotonic clock, so that durations are right.

    :param wall: returns the time of day, timezone-aware.
    :param steady: returns seconds that never decrease.
    """

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), steady: Callable[[], float] = monotonic
    ) -> None:
        self._steady = steady
        self._begun_at, self._begun = wall(), steady()

    def now(self) -> datetime:
        """The time, timezone-aware."""
        return self._begun_at + timedelta(seconds=self._steady() - self._begun)
