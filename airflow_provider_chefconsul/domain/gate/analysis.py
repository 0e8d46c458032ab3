"""When a metric is measured, and what the measurements come to.

It follows the analysis of Argo Rollouts (``count``, ``interval``, ``initialDelay``, ``failureLimit`` and
``inconclusiveLimit`` of a metric), with two differences: the moments of the measurements are fixed from the beginning,
so that whoever goes on after a restart can take the same ones again; and the limits leave room for a success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.domain.gate.measurement import Assessment, Measurement
from airflow_provider_chefconsul.exceptions import InvalidInput


@dataclass(frozen=True, slots=True)
class GatePassed:
    """All measurements have been taken, and no limit was exceeded."""


@dataclass(frozen=True, slots=True)
class GateFailed:
    """A limit was exceeded."""

    reason: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """How often a metric is measured, and how many measurements may go wrong.

    :param count: how many measurements to take.
    :param interval: from one measurement to the next.
    :param initial_delay: until the first one.
    :param failure_limit: how many measurements may fail.
    :param inconclusive_limit: how many may be inconclusive.
    :raises InvalidInput: names the parameter.
    """

    count: int = 1
    interval: timedelta = timedelta(minutes=1)
    initial_delay: timedelta = timedelta(0)
    failure_limit: int = 0
    inconclusive_limit: int = 0

    def __post_init__(self) -> None:
        check_whole("count", self.count, at_least=1)
        for name in ("failure_limit", "inconclusive_limit"):
            check_whole(name, getattr(self, name), at_least=0)
        check_length("interval", self.interval)
        check_length("initial_delay", self.initial_delay, at_least=timedelta(0))
        if self.failure_limit + self.inconclusive_limit >= self.count:
            raise InvalidInput(
                f"failure_limit={self.failure_limit} and inconclusive_limit={self.inconclusive_limit} must be less "
                f"than count={self.count} together, or the gate could pass without a successful measurement"
            )

    def due(self, number: int, begun_at: datetime) -> datetime:
        """When a measurement is to be taken.

        :param number: from 1.
        """
        return begun_at + self.initial_delay + (number - 1) * self.interval

    def judge(self, measurements: Sequence[Measurement]) -> GatePassed | GateFailed | None:
        """What the measurements come to; None while more are needed."""
        for assessment, verb, name, limit in (
            (Assessment.FAILED, "failed", "failure_limit", self.failure_limit),
            (Assessment.INCONCLUSIVE, "were inconclusive", "inconclusive_limit", self.inconclusive_limit),
        ):
            found = [each for each in measurements if each.assessment is assessment]
            if len(found) > limit:
                counted = f"{len(found)} of {len(measurements)} measurements {verb}"
                return GateFailed(f"{counted}, more than {name}={limit}; the last one: {found[-1].reason}")
        return GatePassed() if len(measurements) >= self.count else None

    def __str__(self) -> str:
        """Such as ``"5 times, every 0:01:00, after 0:02:00"``."""
        every = f", every {self.interval}" if self.count > 1 else ""
        after = f", after {self.initial_delay}" if self.initial_delay else ""
        return f"{self.count} {'times' if self.count > 1 else 'time'}{every}{after}"

    def to_fields(self) -> dict[str, int | float]:
        """The JSON form, with durations in seconds."""
        return {
            "count": self.count,
            "interval": self.interval.total_seconds(),
            "initial_delay": self.initial_delay.total_seconds(),
            "failure_limit": self.failure_limit,
            "inconclusive_limit": self.inconclusive_limit,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Analysis:
        """Read the JSON form."""
        return cls(
            count=fields["count"],
            interval=timedelta(seconds=fields["interval"]),
            initial_delay=timedelta(seconds=fields["initial_delay"]),
            failure_limit=fields["failure_limit"],
            inconclusive_limit=fields["inconclusive_limit"],
        )


def check_whole(name: str, value: object, *, at_least: int) -> int:
    """Return a whole number.

    :raises InvalidInput: it is anything else, or too small.
    """
    if type(value) is not int or value < at_least:
        raise InvalidInput(f"{name} must be a whole number from {at_least}, not {value!r}")
    return value


def check_length(name: str, value: object, *, at_least: timedelta = timedelta(seconds=0.1)) -> timedelta:
    """Return a length of time.

    :raises InvalidInput: it is anything else, or too short.
    """
    if not isinstance(value, timedelta) or value < at_least:
        raise InvalidInput(f"{name} must be a timedelta of at least {at_least.total_seconds():g} s, not {value!r}")
    return value
