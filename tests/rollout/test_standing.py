"""Where members stand, in numbers and in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.membership import Member
from airflow_provider_chefconsul.rollout.report import NodeReport, Status
from airflow_provider_chefconsul.rollout.standing import Evidence, Standing, Summary, judge
from tests.factory import make_assignment, make_failure, make_report

HERE, GONE = Member("web-1"), Member("web-1", is_present=False)


@pytest.mark.parametrize(
    ("report", "failures_after", "has_converged_before", "standing"),
    [
        (make_report(), 0, False, Standing.CONVERGED),
        (make_report(), 100, False, Standing.CONVERGED),
        (make_report(status=Status.RUNNING), 0, False, Standing.RUNNING),
        (make_report(status=Status.RUNNING), 0, True, Standing.CONVERGED),
        (make_report(status=Status.REBOOTING), 0, False, Standing.REBOOTING),
        (make_report(status=Status.REBOOTING), 0, True, Standing.CONVERGED),
        (make_failure(), 0, False, Standing.FAILED),
        (make_failure(), 0, True, Standing.FAILED),
        (make_failure(), 99, False, Standing.FAILED),
        (make_failure(), 100, False, Standing.FAILED_EARLIER),
        (make_failure(state="off"), 0, False, Standing.FAILED),
        (make_failure(generation=None, state=None), 0, False, Standing.NOT_REPORTED),
        (make_failure(generation=None, state=None), 0, True, Standing.CONVERGED),
        (make_failure(generation=6), 0, True, Standing.OLD_GENERATION),
        (make_report(generation=6), 0, True, Standing.OLD_GENERATION),
        (make_report(generation=8), 0, False, Standing.OLD_GENERATION),
        (make_report(state="off"), 0, True, Standing.WRONG_STATE),
        (MalformedDocument("k", "not JSON"), 0, True, Standing.MALFORMED),
    ],
)
def test_standings(report, failures_after, has_converged_before, standing):
    """One report with ModifyIndex 100, against generation 7; nothing counts for a member that is absent."""
    evidence, history = Evidence(report, 100), {"failures_after": failures_after}
    history["has_converged_before"] = has_converged_before
    assert judge(HERE, make_assignment(7), evidence, **history)[0] is standing
    assert judge(GONE, make_assignment(7), evidence, **history)[0] is Standing.ABSENT


def test_silence():
    """A member without a report has not reported, or is absent."""
    assert judge(HERE, make_assignment(7), None) == (Standing.NOT_REPORTED, "has never reported")
    assert judge(GONE, make_assignment(7), None) == (Standing.ABSENT, "its agent is not alive")


@given(
    st.builds(
        make_report,
        generation=st.none() | st.integers(5, 9),
        state=st.sampled_from([None, "converged", "off"]),
        status=st.sampled_from(Status),
    ),
    st.integers(0, 200),
)
def test_converged_means_the_report_says_so(report, failures_after):
    """For a member not seen converged before, no other report passes."""
    assert isinstance(report, NodeReport)
    standing, why = judge(HERE, make_assignment(7), Evidence(report, 100), failures_after=failures_after)
    assert (standing is Standing.CONVERGED) == report.has_converged_on(make_assignment(7))
    assert (why == "") == (standing is Standing.CONVERGED)


def test_summary_counts_and_names():
    """Standings come in their order, nodes in theirs; those that nobody has are left out."""
    summary = Summary(
        7,
        {
            "web-3": (Standing.FAILED, "Errno::ENOSPC: No space left"),
            "web-2": (Standing.RUNNING, "since 08:00"),
            "web-1": (Standing.CONVERGED, ""),
            "web-5": (Standing.ABSENT, "its agent is not alive"),
            "web-4": (Standing.RUNNING, ""),
        },
    )
    assert summary.by_standing == {
        Standing.CONVERGED: ["web-1"],
        Standing.ABSENT: ["web-5"],
        Standing.RUNNING: ["web-2", "web-4"],
        Standing.FAILED: ["web-3"],
    }
    assert (summary.present, summary.count(Standing.RUNNING), summary.count(Standing.MALFORMED)) == (4, 2, 0)
    assert str(summary) == ("1 of 5 members converged, 1 absent (web-5), 2 running (web-2, web-4), 1 failed (web-3)")
    assert summary.waiting() == ["1 absent (web-5)", "2 running (web-2, web-4)", "1 failed (web-3)"]


def test_summary_of_a_large_tier_stays_a_line():
    """The first eight of each standing are named."""
    summary = Summary(7, {f"web-{number}": (Standing.RUNNING, "") for number in range(100)})
    assert str(summary).startswith("0 of 100 members converged, 100 running (web-0, web-1, web-2, ")
    assert str(summary).endswith("web-7, …)")
