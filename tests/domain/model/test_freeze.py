"""A freeze: which tiers it keeps, until when, and its document."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.freeze import (
    EVERY_TIER,
    Freeze,
    check_frozen_tiers,
    make_freeze_entry,
)
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument
from tests.support.factory import NOW, make_writer

LATER = NOW + timedelta(hours=2)
ENDLESS = make_freeze_entry(make_writer(), "evening", None, now=NOW)
SHORT = make_freeze_entry(make_writer(), "lunch", LATER, now=NOW)


@pytest.mark.parametrize(
    ("freeze", "tier", "hours", "reason"),
    [
        (Freeze(), "web", 0, None),
        (Freeze({"web": ENDLESS}), "web", 99, "evening"),
        (Freeze({"web": ENDLESS}), "app", 0, None),
        (Freeze({EVERY_TIER: ENDLESS}), "app", 0, "evening"),
        (Freeze({"web": SHORT}), "web", 1.99, "lunch"),
        (Freeze({"web": SHORT}), "web", 2, None),
        (Freeze({"web": SHORT, EVERY_TIER: ENDLESS}), "web", 1, "lunch"),
        (Freeze({"web": SHORT, EVERY_TIER: ENDLESS}), "web", 3, "evening"),
    ],
)
def test_what_keeps_a_tier_frozen(freeze, tier, hours, reason):
    """Its own entry or the one of all tiers, until its time is over."""
    found = freeze.find(tier, now=NOW + timedelta(hours=hours))
    assert (found and found.reason) == reason


def test_document_is_read_as_it_was_written():
    """With the form that DESIGN fixes."""
    freeze = Freeze({EVERY_TIER: ENDLESS, "web": SHORT})
    assert json.loads(freeze.to_json())["entries"]["web"] == {
        "by": make_writer().to_fields(),
        "since": "2026-11-22T08:00:00Z",
        "until": "2026-11-22T10:00:00Z",
        "reason": "lunch",
    }
    assert Freeze.from_json("k", freeze.to_json()) == freeze


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ('{"schema": 1}', "field entries is missing"),
        ('{"schema": 1, "entries": {"a b": {}}}', "neither a tier nor"),
        ('{"schema": 1, "entries": {"web": {"until": "noon"}}}', "until is not a time with an offset"),
    ],
)
def test_other_documents_stop_all_writes(text, problem):
    """The error says how to remove it."""
    with pytest.raises(MalformedDocument, match=f"k: .*{problem}.*; delete this key to end every freeze"):
        Freeze.from_json("k", text)


@pytest.mark.parametrize(
    ("reason", "until", "problem"),
    [
        ("", None, "reason must say why"),
        (" ", None, "reason must say why"),
        (None, None, "reason must say why"),
        ("x", NOW, "until lies in the past: 2026-11-22T08:00:00Z"),
        ("x", "2026-11-22T07:59:59Z", "until lies in the past"),
        ("x", "2026-11-22T10:00:00", "until must be a time with an offset"),
        ("x", "tomorrow", "until must be a time with an offset"),
    ],
)
def test_bad_entries_are_refused(reason, until, problem):
    """In one clear error."""
    with pytest.raises(InvalidInput, match=problem):
        make_freeze_entry(make_writer(), reason, until, now=NOW)


def test_tiers_to_freeze():
    """One, several, or all."""
    assert check_frozen_tiers("web") == ["web"]
    assert check_frozen_tiers(["web", "app"]) == ["web", "app"]
    assert check_frozen_tiers([]) == [EVERY_TIER]
    with pytest.raises(InvalidInput, match="tier 'a b' is not a name"):
        check_frozen_tiers(["a b"])
