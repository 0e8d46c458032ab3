"""When the waves of a plan could begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.write.opening import Opening, find_openings
from airflow_provider_chefconsul.domain.write.plan import PlannedWave
from airflow_provider_chefconsul.domain.write.window import ChangeWindow


@dataclass(frozen=True, slots=True)
class Schedule:
    """By what the times of waves are found, and on whose clock they are shown.

    :param window: None where no times are shown.
    :param wave_takes: from the beginning of a wave until the next one may begin.
    """

    window: ChangeWindow | None
    wave_takes: timedelta
    now: datetime

    def add_to(self, waves: Sequence[PlannedWave]) -> list[tuple[PlannedWave, Opening | None]]:
        """Each wave, and when it could begin; None for one that waits for nothing."""
        if self.window is None:
            return [(each, None) for each in waves]
        openings = find_openings(waves, self.window, now=self.now, wave_takes=self.wave_takes)
        return list(zip(waves, openings, strict=True))

    def describe(self, opening: Opening, number: int) -> str:
        """When a wave could begin.

        :param number: of the wave, from 1.
        """
        assert self.window is not None  # or there would be no opening
        begin, end = map(self.window.on_clock, (opening.begin, opening.end))
        is_open = opening.begin <= self.now
        when = f"until {end}" if is_open else f"from {begin} until {end}"
        if number > 1:
            return f"could begin once wave {number - 1} has converged, {when}"
        return f"could begin now, {when}" if is_open else f"could begin {when}"
