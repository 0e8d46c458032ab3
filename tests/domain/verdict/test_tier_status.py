"""The standing of a tier and its members, next to their assignments and reports."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.explanation.tier import describe_counts
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import (
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
)

ALL = [make_report(node) for node in ("web-1", "web-2", "web-3")]
SPOILT = Unreadable("demo/web/nodes/web-1", "not JSON")


def look(*reports, **overrides):
    """The tier of :func:`make_snapshot`."""
    return tier_status(make_snapshot(*reports, **overrides))


@pytest.mark.parametrize(
    ("reports", "overrides", "expected"),
    [
        (ALL, {}, True),
        (ALL[:2], {}, False),
        (ALL[:2], {"members": ("web-1", "web-2"), "absent": ("web-3",)}, True),
        ([], {"members": (), "absent": ("web-3",)}, False),
        ([], {"members": ()}, False),
        ([*ALL[:2], make_failure("web-3")], {}, False),
        ([*ALL[:2], make_report("web-3", status=Status.RUNNING)], {}, False),
        (ALL, {"desired": None}, False),
        (ALL, {"desired": SPOILT}, False),
    ],
)
def test_tier_has_converged_when_all_present_have(reports, overrides, expected):
    """As with a wait's default policy; a tier without members or without a desired state has not."""
    assert look(*reports, **overrides).has_converged is expected


def test_canary_is_judged_by_its_own_assignment():
    """Both sides must have converged on their assignments."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    assert not look(*ALL, desired=desired).has_converged
    canary = make_report("web-1", generation=8)
    status = look(canary, *ALL[1:], desired=desired)
    assert status.has_converged
    assert [node.assigned.generation for node in status.nodes.values()] == [8, 7, 7]


def test_status_of_a_node():
    """Report, standing, reason and since when; an unreadable report counts as none."""
    status = look(("web-1", SPOILT), make_failure("web-2"))
    spoilt, failed, silent = status.nodes.values()
    assert (spoilt.standing, spoilt.report, spoilt.unreadable) == (Standing.MALFORMED, None, SPOILT)
    assert describe_reason(spoilt) == str(SPOILT)
    assert describe_reason(failed).startswith("Errno::ENOSPC: No space left")
    assert failed.since == datetime(2026, 11, 22, 8, 0, 9, tzinfo=UTC)
    assert (silent.report, silent.since, describe_reason(silent)) == (None, None, "has never reported")


def test_nothing_is_assigned():
    """Members are still listed."""
    node = look(*ALL, desired=None).nodes["web-1"]
    assert (node.assigned, node.standing, describe_reason(node)) == (None, None, "nothing is assigned")
    assert node.report == ALL[0]


def test_standings_are_counted_and_named():
    """In the order of the enum, nodes in natural order; standings without nodes are left out."""
    running = [make_report(node, status=Status.RUNNING) for node in ("web-2", "web-4")]
    reports = [make_report("web-1"), *running, make_failure("web-3")]
    status = look(*reports, members=[f"web-{number}" for number in range(1, 5)], absent=["web-5"])
    assert status.by_standing == {
        Standing.CONVERGED: ["web-1"],
        Standing.ABSENT: ["web-5"],
        Standing.RUNNING: ["web-2", "web-4"],
        Standing.FAILED: ["web-3"],
    }
    assert (status.present, status.count(Standing.RUNNING), status.count(Standing.MALFORMED)) == (4, 2, 0)
    counts = "1 of 5 members converged, 1 absent (web-5), 2 running (web-2, web-4), 1 failed (web-3)"
    assert describe_counts(status) == counts


def test_line_of_a_large_tier_stays_a_line():
    """It names the first eight nodes of each standing."""
    counts = describe_counts(look(members=[f"web-{number}" for number in range(100)]))
    assert counts.startswith("0 of 100 members converged, 100 not_reported (web-0, web-1, web-2, ")
    assert counts.endswith("web-7, … and 92 more)")


def test_what_has_not_changed_is_not_judged_again():
    """Members keep their status unless report, presence or desired state changes."""
    first = make_snapshot(*ALL)
    before = tier_status(first)
    members = {**first.members, "web-2": Member("web-2", Presence.FAILED)}
    evidence = {**first.evidence, "web-3": make_snapshot(make_failure("web-3")).evidence["web-3"]}
    after = tier_status(TierSnapshot(first.desired, members, evidence), before=before)
    assert after.nodes["web-1"] is before.nodes["web-1"]
    assert [after.nodes[name].standing for name in ("web-2", "web-3")] == [Standing.LOST, Standing.FAILED]
    anew = tier_status(TierSnapshot(make_desired(8), members, evidence), before=after)
    assert anew.nodes["web-1"].standing is Standing.OLD_GENERATION


def test_nodes_that_report_but_are_no_members():
    """They are listed in order."""
    status = look(make_report("web-10"), make_report("web-9"), members=["web-1"])
    assert status.strangers == ("web-9", "web-10")
