"""Whole numbers given as text."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.parameter import parse_generations
from airflow_provider_chefconsul.domain.write.rollback import parse_target
from airflow_provider_chefconsul.domain.write.sequence import parse_sequence
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput

ENDLESS = "9" * 5000


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("1764057600", 1764057600), (ENDLESS, None), ("", None), ("-1", None), ("\u0663", None),
     ("\u00b2", None), ("1.0", None), (7, None), (None, None)],
)  # fmt: skip
def test_text_of_digits_is_a_number(text, number):
    """Nothing else is."""
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "read", [parse_sequence, parse_target, Wave.parse, lambda text: parse_generations(text, ["web"])]
)
def test_endless_number_is_bad_input(read):
    """With the reader's own message, not Python's."""
    with pytest.raises(InvalidInput):
        read(ENDLESS)
