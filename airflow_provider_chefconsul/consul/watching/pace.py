"""How fast what a viewer waits for comes in. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

_SHORTEST = 0.02  # seconds; over less, a pace is not known


@dataclass(slots=True)
class Pace:
    """Tells from how much was missing at some moments when nothing will be."""

    _missing: int | None = None
    _at: float = 0.0
    _rate: float = 0.0

    def seconds_left(self, missing: int, *, at: float, since: float) -> float | None:
        """The seconds until nothing is missing if the rest comes as fast; None if nobody can tell.

        :param missing: how much was missing at that moment, by the monotonic clock.
        :param since: until when nothing had come since the moment before.
        """
        if self._missing is not None and at > self._at:
            rate = max(0, self._missing - missing) / max(_SHORTEST, at - max(self._at, since))
            self._rate = (self._rate + rate) / 2 if self._rate else rate
        self._missing, self._at = missing, at
        return missing / self._rate if missing > 0 and self._rate > 0 else None
