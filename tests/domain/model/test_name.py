"""Names beyond the contract's table: arbitrary text, and the tiers that operators accept."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.name import NAME_FORM, check_name, check_tiers, is_name, natural_order
from airflow_provider_chefconsul.exceptions import InvalidInput


@given(st.text() | st.from_regex(NAME_FORM))
def test_a_name_survives_in_a_url_and_a_path(text):
    """A valid name needs no quoting and cannot leave its folder."""
    if is_name(text):
        assert quote(text, safe="") == text
        assert 1 <= len(text) <= 128
        assert re.match(r"[._-]", text) is None


@pytest.mark.parametrize("text", [None, 1, b"web", ["web"]])
def test_name_must_be_text(text):
    """The error shows the value."""
    assert not is_name(text)
    with pytest.raises(InvalidInput) as caught:
        check_name("tier", text)
    assert str(caught.value).startswith(f"tier {text!r} is not a name")


@pytest.mark.parametrize(("tier", "tiers"), [("web", ["web"]), (["web"], ["web"]), (("web", "app"), ["web", "app"])])
def test_one_tier_or_several(tier, tiers):
    """Operators accept either, and keep the order."""
    assert check_tiers("demo", tier) == tiers


@pytest.mark.parametrize(
    ("environment", "tier", "words"),
    [
        ("", "web", "environment '' is not a name"),
        ("_history", "web", "environment '_history' is not a name"),
        ("demo", "", "tier '' is not a name"),
        ("demo", "web/..", "tier 'web/..' is not a name"),
        ("demo", ["web", "_lease"], "tier '_lease' is not a name"),
        ("demo", [], "tier is an empty list; name at least one"),
    ],
)
def test_bad_tiers_are_refused(environment, tier, words):
    """The error names the wrong one."""
    with pytest.raises(InvalidInput) as caught:
        check_tiers(environment, tier)
    assert words in str(caught.value)


@given(st.permutations(["web-10", "web-2", "2", "web-2a", "web-02", "web", "10.web", "2.web", "web-" + "9" * 5000]))
def test_natural_order(names):
    """The order that people expect, for any names, and always the same."""
    expected = ["2", "2.web", "10.web", "web", "web-02", "web-2", "web-2a", "web-10", "web-" + "9" * 5000]
    assert sorted(names, key=natural_order) == expected
