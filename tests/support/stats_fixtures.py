"""A backend for Airflow's `Stats` that remembers what it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk.observability.stats import Stats


@dataclass
class RecordedStats:
    """What was measured, in the order in which it was."""

    seen: list[tuple[str, float | timedelta, dict[str, str]]] = field(default_factory=list)

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: dict[str, str]) -> None:
        """Count."""
        self.seen.append((stat, count * rate, tags))

    def gauge(self, stat: str, value: float, rate: float = 1, *, tags: dict[str, str]) -> None:
        """Set a gauge."""
        self.seen.append((stat, value * rate, tags))

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, str]) -> None:
        """Note how long something took."""
        self.seen.append((stat, dt, tags))

    def of(self, name: str) -> list[tuple[Any, dict[str, str]]]:
        """The values of a metric with their tags."""
        return [(value, tags) for stat, value, tags in self.seen if stat == name]


@pytest.fixture
def stats() -> Iterator[RecordedStats]:
    """What the test's tasks measure."""
    recorded = RecordedStats()
    _use(lambda: recorded)
    yield recorded
    _use(NoStatsLogger)


def _use(factory: Callable[[], Any]) -> None:
    has_legacy_names = "export_legacy_names" in inspect.signature(Stats.initialize).parameters  # since Airflow 3.3
    options: dict[str, Any] = {"export_legacy_names": False} if has_legacy_names else {}
    Stats.initialize(factory=factory, **options)
