"""Numbers and percentages of nodes, as authors write them."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.exceptions import InvalidInput


@pytest.mark.parametrize("count", [0, 1, 10_000, "0%", "7%", "100%"])
def test_counts(count):
    """A number of at least 0, or a whole percentage up to 100."""
    parsed = Count.parse("max_failed", count)
    assert parsed.written == count
    assert (str(parsed), repr(parsed)) == (str(count), repr(count))
    assert Count.parse("max_failed", parsed) == parsed


@pytest.mark.parametrize(
    "count",
    [
        -1,
        1.0,
        True,
        False,
        None,
        "",
        "5",
        "%",
        "-1%",
        "101%",
        "1.5%",
        " 5%",
        "5 %",
        "5%\n",
        "0005%",
        "\u0665%",
        [1],
        b"5%",
    ],
)
def test_anything_else_is_refused(count):
    """The error names the parameter and shows the value."""
    with pytest.raises(InvalidInput) as caught:
        Count.parse("max_failed", count)
    assert str(caught.value) == f'max_failed must be a number of nodes or "0%" to "100%", not {count!r}'


@pytest.mark.parametrize(
    ("count", "total", "lower", "upper"),
    [
        (2, 10, 2, 2),
        (2, 0, 2, 2),
        ("34%", 3, 1, 2),
        ("50%", 3, 1, 2),
        ("100%", 7, 7, 7),
        ("0%", 7, 0, 0),
        ("1%", 1, 0, 1),
    ],
)
def test_percentages_of_a_total(count, total, lower, upper):
    """Rounded down for maximums, up for minimums; a number stays the same."""
    parsed = Count.parse("count", count)
    assert (parsed.at_most(total), parsed.at_least(total)) == (lower, upper)


@given(st.integers(0, 100), st.integers(0, 100_000))
def test_percentages_are_exact(percent, total):
    """No float is used to compute them."""
    share = Fraction(percent * total, 100)
    count = Count(percent, is_percentage=True)
    assert (count.at_most(total), count.at_least(total)) == (floor(share), ceil(share))
