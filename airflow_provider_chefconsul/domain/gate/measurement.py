"""One measurement of a metric, and what it says. The words are those of Argo Rollouts' analysis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_provider_chefconsul.domain.gate.condition import MetricCondition
from airflow_provider_chefconsul.domain.moment import write_moment


class Assessment(StrEnum):
    """What a measurement says."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric at one moment.

    :param at: the moment that it was evaluated for; aware.
    :param value: as Prometheus writes it, ``"0.25"`` or ``"+Inf"``; empty when there was not exactly one. JSON has no
        number for some of them.
    :param reason: why it is not successful.
    """

    at: datetime
    assessment: Assessment
    value: str = ""
    reason: str = ""

    @classmethod
    def assess(cls, condition: MetricCondition, at: datetime, values: Sequence[str]) -> Measurement:
        """Assess what a query yields.

        :param values: one for each series; a query that is to be compared with a number has exactly one.
        """
        match list(values):
            case []:
                return cls(at, Assessment.INCONCLUSIVE, reason="the query yields no data")
            case [value] if math.isnan(float(value)):
                return cls(at, Assessment.INCONCLUSIVE, value, "NaN is no number to compare")
            case [value] if condition.is_met_by(float(value)):
                return cls(at, Assessment.SUCCESSFUL, value)
            case [value]:
                return cls(at, Assessment.FAILED, value, f"{value} is not {condition}")
            case several:
                reason = f"the query yields {len(several)} series instead of one; aggregate them, by sum() or max()"
                return cls(at, Assessment.INCONCLUSIVE, reason=reason)

    def to_fields(self) -> dict[str, str]:
        """The JSON form."""
        return {
            "at": write_moment(self.at, timespec="milliseconds"),
            "assessment": str(self.assessment),
            "value": self.value,
            "reason": self.reason,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Measurement:
        """Read the JSON form."""
        return cls(
            datetime.fromisoformat(fields["at"]), Assessment(fields["assessment"]), fields["value"], fields["reason"]
        )

    def __str__(self) -> str:
        """Such as ``"2026-03-01T12:00:00Z: failed: 0.25 is not < 0.01"``."""
        return f"{write_moment(self.at)}: {self.assessment}: {self.reason or self.value}"
