"""Telling the time by a clock that nobody sets. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic


class SteadyClock:
    """The time of day as it was when this was made, going on by the monotonic clock.

    What must hold for some time holds for that long, although the machine's clock is set meanwhile.

    :param wall: gives the time of day, aware.
    :param steady: gives seconds that only ever grow.
    """

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), steady: Callable[[], float] = monotonic
    ) -> None:
        self._steady = steady
        self._begun_at, self._begun = wall(), steady()

    def now(self) -> datetime:
        """The time, aware."""
        return self._begun_at + timedelta(seconds=self._steady() - self._begun)
