"""What an audit of a tier finds."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.verdict.drift import find_drift
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import make_failure, make_report, make_snapshot, make_unreadable


def audit(*reports, **overrides):
    """What an audit of a tier finds."""
    return find_drift(tier_status(make_snapshot(*reports, **overrides)))


def test_tier_without_drift():
    """All members have converged."""
    drift = audit(*(make_report(f"web-{number}") for number in (1, 2, 3)))
    assert (drift.members, drift.drifted, drift.is_unknown) == (3, {}, False)
    assert not drift.exceeds(Count.parse("max_drifted", 0))


def test_each_kind_of_drift_is_found():
    """The standing of each node; nodes that report but are no members have none."""
    drift = audit(
        make_report("web-1"),
        make_failure("web-2"),
        make_report("web-3", generation=6),
        ("web-4", make_unreadable()),
        make_report("gone-1"),
        members=("web-1", "web-2", "web-3", "web-4", "web-5"),
        absent=("web-6",),
    )
    assert drift.drifted == {
        "web-2": "failed",
        "web-3": "old_generation",
        "web-4": "malformed_report",
        "web-5": "not_reported",
        "web-6": "absent",
        "gone-1": None,
    }
    assert drift.exceeds(Count.parse("max_drifted", 5))
    assert not drift.exceeds(Count.parse("max_drifted", 6))


def test_percentage_is_of_the_members():
    """Rounded down, like every budget."""
    drift = audit(make_report("web-1"), make_report("web-2"))
    assert drift.exceeds(Count.parse("max_drifted", "33%"))
    assert not drift.exceeds(Count.parse("max_drifted", "34%"))


@pytest.mark.parametrize("overrides", [{"desired": None}, {"desired": make_unreadable()}, {"members": ()}])
def test_silence_is_never_success(overrides):
    """A tier that cannot be compared exceeds every limit."""
    drift = audit(make_report("web-1"), **overrides)
    assert drift.is_unknown
    assert drift.exceeds(Count.parse("max_drifted", "100%"))
