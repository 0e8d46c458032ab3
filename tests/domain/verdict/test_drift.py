"""What an audit finds of a tier."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.verdict.drift import find_drift
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.support.factory import NOW, make_failure, make_report, make_snapshot


def audit(*reports, **overrides):
    """What an audit of demo/web finds."""
    return find_drift("demo", "web", make_snapshot(*reports, **overrides), now=NOW)


def test_tier_without_drift():
    """All members have converged."""
    drift = audit(*(make_report(f"web-{number}") for number in (1, 2, 3)))
    assert drift.to_fields() == {"members": 3, "drifted": {}, "unknown": ""}
    assert not drift.exceeds(0)


def test_each_kind_of_drift_is_named():
    """By node: the standing in a word, and why, with what to do."""
    drift = audit(
        make_report("web-1"),
        make_failure("web-2"),
        make_report("web-3", generation=6),
        ("web-4", MalformedDocument("demo/web/nodes/web-4", "not JSON")),
        make_report("gone-1"),
        make_report("WEB-5"),
        members=("web-1", "web-2", "web-3", "web-4", "web-5"),
        absent=("web-6",),
    )
    assert drift.standings == {
        "web-2": "failed",
        "web-3": "old_generation",
        "web-4": "malformed_report",
        "web-5": "not_reported",
        "web-6": "absent",
        "WEB-5": "no_member",
        "gone-1": "no_member",
    }
    assert "ENOSPC" in drift.drifted["web-2"]
    assert drift.drifted["gone-1"].startswith("has a report and is no member; bring it back")
    assert "is no member, most likely the same machine as web-5; bring it back" in drift.drifted["WEB-5"]
    assert "WEB-5 has, which is no member: most likely the same machine under another name" in drift.drifted["web-5"]
    assert drift.exceeds(6)
    assert not drift.exceeds(7)


def test_percentage_is_of_the_members():
    """Rounded down, like every budget."""
    drift = audit(make_report("web-1"), make_report("web-2"))
    assert drift.exceeds("33%")
    assert not drift.exceeds("34%")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"desired": None}, "no desired state; nobody has declared it"),
        ({"desired": MalformedDocument("demo/web/desired", "not JSON")}, "demo/web/desired: not JSON"),
        ({"members": ()}, "it has no members"),
    ],
)
def test_silence_is_never_success(overrides, words):
    """A tier of which nobody can say whether it matches is beyond every budget."""
    drift = audit(make_report("web-1"), **overrides)
    assert words in drift.unknown
    assert drift.exceeds("100%")
