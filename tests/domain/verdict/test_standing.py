"""The standing of members, and the words for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.standing import Standing, judge
from tests.support.factory import make_assignment, make_desired, make_failure, make_report

HERE = Member("web-1")


WAITING = Status.WAITING
RUNNING, REBOOTING, INTERRUPTED = Status.RUNNING, Status.REBOOTING, Status.INTERRUPTED
SPOILT = Unreadable("k", "not JSON")


@pytest.mark.parametrize(
    ("report", "failures_after", "has_converged_before", "standing"),
    [
        (make_report(), 0, False, Standing.CONVERGED),
        (make_report(), 100, False, Standing.CONVERGED),
        (make_report(status=RUNNING), 0, False, Standing.RUNNING),
        (make_report(status=RUNNING), 0, True, Standing.CONVERGED),
        (make_report(status=WAITING), 0, False, Standing.WAITING),
        (make_report(status=WAITING), 0, True, Standing.WAITING),
        (make_report(status=WAITING, generation=6), 0, False, Standing.OLD_GENERATION),
        (make_report(status=REBOOTING), 0, False, Standing.REBOOTING),
        (make_report(status=REBOOTING), 0, True, Standing.REBOOTING),
        (make_report(status=INTERRUPTED), 0, False, Standing.INTERRUPTED),
        (make_report(status=INTERRUPTED), 0, True, Standing.INTERRUPTED),
        (make_failure(), 0, False, Standing.FAILED),
        (make_failure(), 0, True, Standing.FAILED),
        (make_failure(), 99, False, Standing.FAILED),
        (make_failure(), 100, False, Standing.FAILED_EARLIER),
        (make_failure(state="off"), 0, False, Standing.FAILED),
        (make_failure(generation=None, state=None), 0, False, Standing.NOT_REPORTED),
        (make_failure(generation=None, state=None), 0, True, Standing.NOT_REPORTED),
        (make_failure(generation=6), 0, True, Standing.OLD_GENERATION),
        (make_report(generation=6), 0, True, Standing.OLD_GENERATION),
        (make_report(generation=8), 0, False, Standing.OLD_GENERATION),
        (make_report(state="off"), 0, True, Standing.WRONG_STATE),
        (SPOILT, 0, True, Standing.MALFORMED),
    ],
)
def test_standings(report, failures_after, has_converged_before, standing):
    """One report with ModifyIndex 100 against generation 7; the node's agent is alive."""
    history = {"failures_after": failures_after, "has_converged_before": has_converged_before}
    assert judge(HERE, make_desired(7), Evidence(report, 100), **history).standing is standing


@pytest.mark.parametrize(
    ("report", "failures_after", "standing"),
    [
        (make_report(status=RUNNING, previous_status=Status.FAILED), 0, Standing.FAILED),
        (make_report(status=WAITING, previous_status=Status.FAILED), 0, Standing.FAILED),
        (make_report(status=WAITING, previous_status=Status.SUCCEEDED), 0, Standing.WAITING),
        (make_report(status=REBOOTING, previous_status=Status.FAILED), 0, Standing.FAILED),
        (make_report(status=INTERRUPTED, previous_status=Status.FAILED), 0, Standing.FAILED),
        (make_report(status=RUNNING, previous_status=Status.FAILED), 99, Standing.FAILED_EARLIER),
        (make_report(previous_status=Status.FAILED), 0, Standing.CONVERGED),
        (make_report(status=RUNNING, previous_status=Status.SUCCEEDED), 0, Standing.CONVERGED),
        (make_report(status=RUNNING, previous_status=Status.INTERRUPTED), 0, Standing.RUNNING),
        (make_report(status=RUNNING, previous_status=Status.RUNNING), 0, Standing.RUNNING),
        (make_report(status=RUNNING, id="a1"), 0, Standing.RUNNING),
        (make_report(status=REBOOTING, previous_status=Status.SUCCEEDED), 0, Standing.REBOOTING),
        (make_report(status=RUNNING, previous_status=Status.SUCCEEDED, state="off"), 0, Standing.WRONG_STATE),
    ],
)
def test_previous_status_in_a_report(report, failures_after, standing):
    """It overrides what a wait remembers, and a failure does not vanish behind the next run."""
    for remembered in (False, True):
        found = judge(
            HERE,
            make_desired(7),
            Evidence(report, 100),
            failures_after=failures_after,
            has_converged_before=remembered,
        )
        assert found.standing is standing


@pytest.mark.parametrize(
    ("assigned", "reported", "standing"),
    [
        (None, None, Standing.CONVERGED),
        (None, "a1", Standing.CONVERGED),
        ("a1", None, Standing.CONVERGED),
        ("a1", "a1", Standing.CONVERGED),
        ("a1", "b2", Standing.OLD_GENERATION),
    ],
)
def test_a_report_counts_for_its_own_assignment_only(assigned, reported, standing):
    """A generation that recurs has another id; older documents have none, and match by generation."""
    found = judge(
        HERE, make_desired(7, stable=make_assignment(7, id=assigned)), Evidence(make_report(id=reported), 100)
    )
    assert found.standing is standing
    assert ("an earlier tier of that name" in describe_reason(found)) == (standing is Standing.OLD_GENERATION)


@pytest.mark.parametrize(
    ("listed", "reported", "standing"),
    [
        (None, "m1", Standing.CONVERGED),
        ("m1", None, Standing.CONVERGED),
        ("m1", "m1", Standing.CONVERGED),
        ("m2", "m1", Standing.NOT_REPORTED),
    ],
)
def test_a_report_of_an_earlier_machine_is_none(listed, reported, standing):
    """If both machine ids are known, they must match."""
    member = Member("web-1", node_id=listed)
    assert judge(member, make_desired(7), Evidence(make_report(node_id=reported), 100)).standing is standing


def case(presences, reports, standing, *, seen=(False, True)):
    """A row of the table, with each combination of its values."""
    return [
        pytest.param(presence, report, was_seen_alive, standing, id=f"{presence}-{name}-{was_seen_alive}-{standing}")
        for presence in presences
        for name, report in reports.items()
        for was_seen_alive in seen
    ]


DEAD, GONE, ALIVE, UNKNOWN = Presence.FAILED, Presence.GONE, Presence.ALIVE, Presence.UNKNOWN
UNFINISHED = {str(status): make_report(status=status) for status in (RUNNING, REBOOTING, INTERRUPTED)}
RAN_AGAIN = {"again": make_report(status=RUNNING, previous_status=Status.SUCCEEDED)}
SUCCEEDED = {"succeeded": make_report()}
NONE = {
    "silent": None,
    "old": make_report(generation=6),
    "other id": make_report(id="b2"),
    "unread": make_failure(generation=None, state=None),
}


@pytest.mark.parametrize(
    ("presence", "report", "was_seen_alive", "standing"),
    [
        *case([DEAD, GONE], {"failed": make_failure()}, Standing.FAILED),
        *case([DEAD, GONE], UNFINISHED | RAN_AGAIN, Standing.LOST),
        *case([DEAD, GONE], {"malformed": SPOILT, "state": make_report(state="off")}, Standing.LOST),
        *case([DEAD], SUCCEEDED, Standing.LOST),
        *case([DEAD], NONE, Standing.LOST, seen=[True]),
        *case([DEAD], NONE, Standing.ABSENT, seen=[False]),
        *case([GONE], SUCCEEDED | NONE, Standing.LEFT),
        *case([UNKNOWN], {"silent": None}, Standing.UNKNOWN, seen=[False]),
        *case([UNKNOWN], {"silent": None}, Standing.LEFT, seen=[True]),
        *case([UNKNOWN], SUCCEEDED, Standing.LEFT),
        *case([ALIVE], {"failed": make_failure()}, Standing.FAILED),
        *case([ALIVE], SUCCEEDED, Standing.CONVERGED),
    ],
)
def test_evidence_first_presence_second(presence, report, was_seen_alive, standing):
    """The standings of nodes whose agents are not alive; what a wait remembers never improves them."""
    evidence = report and Evidence(report, 100)
    for remembered in (False, True):
        found = judge(
            Member("web-1", presence),
            make_desired(7, stable=make_assignment(7, id="a1")),
            evidence,
            was_seen_alive=was_seen_alive,
            has_converged_before=remembered,
        )
        assert found.standing is standing
        assert describe_reason(found) or standing is Standing.CONVERGED


def test_silence():
    """A member without a report has not reported, or is absent."""
    silent, absent = (judge(member, make_desired(7), None) for member in (HERE, Member("web-1", DEAD)))
    assert (silent.standing, describe_reason(silent)) == (Standing.NOT_REPORTED, "has never reported")
    assert (absent.standing, describe_reason(absent)) == (Standing.ABSENT, "its agent is not alive")


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
    """For a member not seen converged before, no other report counts."""
    assert isinstance(report, NodeReport)
    found = judge(HERE, make_desired(7), Evidence(report, 100), failures_after=failures_after)
    assert found.has_converged == report.has_converged_on(make_assignment(7))
    assert (describe_reason(found) == "") == found.has_converged
