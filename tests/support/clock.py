"""A clock for change windows, which tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: str, *, leap: timedelta = timedelta(0)) -> None:
    """Let the time by which windows are open be a moment, written with its offset, and go on from there.

    :param leap: by how much it jumps ahead each time that somebody has looked.
    """
    ahead, looks = datetime.fromisoformat(moment) - datetime.now(UTC), count()
    monkeypatch.setattr(
        "airflow_provider_chefconsul.triggers.window.current_time",
        lambda: datetime.now(UTC) + ahead + next(looks) * leap,
    )
