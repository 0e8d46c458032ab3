"""Which nodes' runs take longer than those of the others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.slow import find_slow
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import NOW, make_report, make_snapshot

BEGUN = "2026-11-22T08:00:00Z"


def running(node, begun=BEGUN):
    """One whose run has not ended."""
    return make_report(node, status=Status.RUNNING, started_at=begun, finished_at=None)


def there(node, minutes):
    """One whose run took that long."""
    return make_report(node, started_at=BEGUN, finished_at=f"2026-11-22T08:{minutes:02d}:00Z")


@pytest.mark.parametrize(
    ("reports", "minutes", "slow"),
    [
        ([running("web-1")], 15, []),  # nobody knows yet what is usual
        ([running("web-1")], 16, ["web-1"]),
        ([running("web-1"), there("web-2", 0)], 2, []),  # however fast the others are
        ([running("web-1"), there("web-2", 0)], 3, ["web-1"]),
        ([running("web-1"), there("web-2", 1), there("web-3", 10)], 30, []),  # three times the slowest
        ([running("web-1"), there("web-2", 1), there("web-3", 10)], 31, ["web-1"]),
        ([running("web-1", begun="yesterday"), there("web-2", 0)], 60, []),
        ([running("web-1"), running("web-2", "2026-11-22T08:30:00Z"), there("web-3", 10)], 45, ["web-1"]),
        ([make_report("web-1"), there("web-2", 0)], 60, []),
    ],
)
def test_runs_that_take_long(reports, minutes, slow):
    """By the runs that brought the others there."""
    assert find_slow(tier_status(make_snapshot(*reports)), now=NOW + timedelta(minutes=minutes)) == slow
