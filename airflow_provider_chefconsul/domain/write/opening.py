"""When the waves of a rollout could begin within a change window. Pure; time is a parameter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.write.decision import Write
from airflow_provider_chefconsul.domain.write.plan import PlannedWave
from airflow_provider_chefconsul.domain.write.window import ChangeWindow

AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Opening:
    """From when until when a wave could begin, in UTC."""

    begin: datetime
    end: datetime


def find_openings(
    waves: Iterable[PlannedWave], window: ChangeWindow, *, now: datetime, wave_takes: timedelta = AT_ONCE
) -> list[Opening | None]:
    """By wave, when it could begin at the earliest; None for one that assigns nothing, and so waits for nothing.

    :param now: aware.
    :param wave_takes: from the beginning of a wave until the next one may begin.
    :raises InvalidInput: the window does not open within ten years.
    """
    openings: list[Opening | None] = []
    earliest = now
    for each in waves:
        if not isinstance(each.decision, Write) or not each.decision.assigns:
            openings.append(None)
            continue
        begin = window.next_opening(earliest)
        openings.append(Opening(begin, window.closes_at(begin)))
        earliest = begin + wave_takes
    return openings
