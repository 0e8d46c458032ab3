"""What a query yields, and what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.domain.gate.condition import MetricCondition
from airflow_provider_chefconsul.domain.gate.measurement import Measurement

AT = datetime(2026, 11, 22, 8, 0, 0, 250_000, tzinfo=UTC)
CONDITION = MetricCondition.parse("< 0.01")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["0.005"], "successful: 0.005"),
        (["-Inf"], "successful: -Inf"),
        (["0.25"], "failed: 0.25 is not < 0.01"),
        (["+Inf"], "failed: +Inf is not < 0.01"),
        (["NaN"], "inconclusive: NaN is no number to compare"),
        ([], "inconclusive: the query yields no data"),
        (["0", "0"], "inconclusive: the query yields 2 series instead of one; aggregate them, by sum() or max()"),
    ],
)
def test_measurements(values, text):
    """Silence and ambiguity are no success, and no failure of the release; JSON carries all of them."""
    measurement = Measurement.assess(CONDITION, AT, values)
    assert str(measurement) == f"2026-11-22T08:00:00Z: {text}"
    assert Measurement.from_fields(json.loads(json.dumps(measurement.to_fields(), allow_nan=False))) == measurement
