"""Conditions, as authors write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.gate.condition import MetricCondition
from airflow_provider_chefconsul.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("text", "met", "unmet"),
    [
        ("< 0.01", [0.0099, -1, -math.inf], [0.01, 1, math.inf]),
        ("<=5", [5, 4.9], [5.1]),
        ("> -1.5", [-1.4, math.inf], [-1.5, -2]),
        (">= 1e3", [1000, 2000], [999.9]),
        (" == 0 ", [0, -0.0], [1e-300]),
        ("!= .5", [0.4], [0.5]),
        ("< 5.", [4.9], [5]),
    ],
)
def test_conditions(text, met, unmet):
    """Each comparison, and each way to write a number."""
    condition = MetricCondition.parse(text)
    assert [value for value in (*met, *unmet) if condition.is_met_by(value)] == met


@pytest.mark.parametrize(
    "text",
    [
        *("", "0.01", "<", "< ", "=< 1", "= 1", "<> 1", "< 1 %", "< 1%", "< 0,01", "< nan", "< inf", "< 1e999"),
        *("< 1 < 2", "x < 1", "< 0x1", "< 1_000", "< \N{ARABIC-INDIC DIGIT ONE}", None, 5),
    ],
)
def test_anything_else_is_refused(text):
    """The error shows how to write one."""
    with pytest.raises(InvalidInput, match='condition must be a comparison and a number, such as "< 0.01"'):
        MetricCondition.parse(text)


@given(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.floats(allow_nan=False, allow_infinity=False))
def test_text_says_the_same(comparison, bound):
    """What is stored is what was written, to the last digit."""
    condition = MetricCondition(comparison, bound)
    assert MetricCondition.parse(str(condition)) == condition
