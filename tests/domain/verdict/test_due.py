"""Nodes whose moment within the spread has not come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.verdict.due import count_not_due
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus, tier_status
from tests.support.factory import NOW, make_assignment, make_desired, make_report, make_snapshot

ASSIGNMENT = make_assignment(pace=AssignmentPace(spread_over=600))
DELAYS = sorted(ASSIGNMENT.delay_of(node) for node in ("web-1", "web-2", "web-3"))


def status_of(*reports: object, **desired: object) -> TierStatus:
    """Three nodes that begin within ten minutes after :data:`NOW`, when their state was declared."""
    return tier_status(make_snapshot(*reports, desired=make_desired(**{"stable": ASSIGNMENT} | desired)))


@pytest.mark.parametrize(
    ("seconds", "count"), [(0, 3), (DELAYS[0] + 0.1, 2), (DELAYS[1] + 0.1, 1), (DELAYS[2] + 0.1, 0)]
)
def test_each_has_its_moment(seconds, count):
    """Fewer and fewer are not due."""
    assert count_not_due(status_of(), now=NOW + timedelta(seconds=seconds)) == count


def test_only_those_that_have_not_begun():
    """Whoever ran the client by hand has not waited for its moment."""
    reports = [make_report("web-1"), make_report("web-2", generation=6)]
    assert count_not_due(status_of(*reports), now=NOW) == 2


@pytest.mark.parametrize("desired", [{"stable": make_assignment()}, {"written_at": "?"}])
def test_without_a_spread_or_a_time(desired):
    """Nobody is said to wait."""
    assert count_not_due(status_of(**desired), now=NOW) == 0
    assert count_not_due(TierStatus(None), now=NOW) == 0
