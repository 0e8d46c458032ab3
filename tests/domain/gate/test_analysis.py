"""What measurements come to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.gate.analysis import Analysis, GateFailed, GatePassed
from airflow_provider_chefconsul.domain.gate.measurement import Assessment, Measurement
from airflow_provider_chefconsul.exceptions import InvalidInput

BEGUN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ASSESSMENTS = {"s": Assessment.SUCCESSFUL, "f": Assessment.FAILED, "i": Assessment.INCONCLUSIVE}


def measured(letters: str) -> list[Measurement]:
    """Measurements by the first letters of what they say."""
    return [Measurement(BEGUN, ASSESSMENTS[each], reason=f"number {n}") for n, each in enumerate(letters, start=1)]


@pytest.mark.parametrize(
    ("limits", "letters", "ending"),
    [
        ((3, 0, 0), "", None),
        ((3, 0, 0), "ss", None),
        ((3, 0, 0), "sss", GatePassed()),
        ((3, 0, 0), "sf", "1 of 2 measurements failed, more than failure_limit=0; the last one: number 2"),
        (
            (3, 0, 0),
            "i",
            "1 of 1 measurements were inconclusive, more than inconclusive_limit=0; the last one: number 1",
        ),
        ((5, 2, 0), "ffs", None),
        ((5, 2, 0), "ffsss", GatePassed()),
        ((5, 2, 0), "fssff", "3 of 5 measurements failed, more than failure_limit=2; the last one: number 5"),
        ((5, 1, 2), "fiis", None),
        ((5, 1, 2), "fiiss", GatePassed()),
        (
            (5, 1, 2),
            "iifi",
            "3 of 4 measurements were inconclusive, more than inconclusive_limit=2; the last one: number 4",
        ),
    ],
)
def test_endings(limits, letters, ending):
    """A limit that is exceeded ends it at once; otherwise all measurements are taken."""
    count, failure_limit, inconclusive_limit = limits
    analysis = Analysis(count, failure_limit=failure_limit, inconclusive_limit=inconclusive_limit)
    assert analysis.judge(measured(letters)) == (GateFailed(ending) if isinstance(ending, str) else ending)


@given(st.integers(1, 8), st.integers(0, 7), st.integers(0, 7), st.text("sfi", min_size=8, max_size=8))
def test_gate_never_passes_without_a_success(count, failure_limit, inconclusive_limit, letters):
    """Whatever the limits that it accepts; and it always comes to an end."""
    try:
        analysis = Analysis(count, failure_limit=failure_limit, inconclusive_limit=inconclusive_limit)
    except InvalidInput:
        return
    taken = measured(letters)
    number = next(number for number in range(9) if analysis.judge(taken[:number]) is not None)
    assert number <= count
    if isinstance(analysis.judge(taken[:number]), GatePassed):
        assert "s" in letters[:number]


def test_moments_are_fixed():
    """From the beginning, whenever somebody asks."""
    analysis = Analysis(3, timedelta(minutes=5), timedelta(minutes=2))
    assert [analysis.due(number, BEGUN).strftime("%H:%M") for number in (1, 2, 3)] == ["08:02", "08:07", "08:12"]
    assert str(analysis) == "3 times, every 0:05:00, after 0:02:00"
    assert str(Analysis()) == "1 time"
    assert Analysis.from_fields(json.loads(json.dumps(analysis.to_fields()))) == analysis


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"count": 0}, "count must be a whole number from 1, not 0"),
        ({"count": True}, "count must be a whole number from 1, not True"),
        ({"failure_limit": -1}, "failure_limit must be a whole number from 0, not -1"),
        ({"inconclusive_limit": "1"}, "inconclusive_limit must be a whole number from 0, not '1'"),
        ({"interval": timedelta(0)}, r"interval must be a timedelta of at least 0.1 s"),
        ({"interval": 60}, r"interval must be a timedelta of at least 0.1 s, not 60"),
        ({"initial_delay": timedelta(-1)}, "initial_delay must be a timedelta of at least 0 s"),
        ({"failure_limit": 1}, "failure_limit=1 and inconclusive_limit=0 must be less than count=1 together"),
        ({"count": 4, "failure_limit": 2, "inconclusive_limit": 2}, "or the gate could pass without a successful"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, words):
    """The error names the parameter."""
    with pytest.raises(InvalidInput, match=words):
        Analysis(**parameters)
