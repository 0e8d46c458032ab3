"""How a wait counts nodes that are absent, lost or gone: each row of the table, in counts and verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Waiting
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from tests.support.factory import (
    make_failure,
    make_members,
    make_policy,
    make_report,
    make_snapshot,
    make_wait,
    seen,
    verdict_of,
)

ALIVE, DEAD, GONE, UNKNOWN = Presence.ALIVE, Presence.FAILED, Presence.GONE, Presence.UNKNOWN
DONE = [make_report("web-1"), make_report("web-2")]
SUCCEEDED, FAILED, SILENT = make_report("web-3"), make_failure("web-3"), None
QUEUED, RUNNING, REBOOTING, INTERRUPTED = (
    make_report("web-3", status=status)
    for status in (Status.WAITING, Status.RUNNING, Status.REBOOTING, Status.INTERRUPTED)
)
OLD = make_report("web-3", generation=6)
CONVERGES, WAITS, FAILS = Converged, Waiting, Failed


def judge(presence, report, *, was_seen_alive=False, **policy):
    """The verdict on web-1 and web-2, which have converged, and web-3."""
    before = make_snapshot(*DONE, members=("web-1", "web-2", *(["web-3"] if was_seen_alive else [])))
    members = make_members("web-1", "web-2")
    # The shared data view no longer shows a node that Consul does not list, where it was no member before.
    if presence is not GONE:
        members = members | {"web-3": Member("web-3", presence)}
    wait = seen(make_wait(), before)
    if presence is GONE and not was_seen_alive:
        wait = replace(wait, seen_members=wait.seen_members | {"web-3"})
    snapshot = replace(make_snapshot(*DONE, *([report] if report else [])), members=members)
    return verdict_of(snapshot, wait, make_policy(**policy))


@pytest.mark.parametrize("was_seen_alive", [False, True])
@pytest.mark.parametrize(
    ("presence", "report", "standing", "kind"),
    [
        (ALIVE, SUCCEEDED, Standing.CONVERGED, CONVERGES),
        (ALIVE, FAILED, Standing.FAILED, FAILS),
        (ALIVE, RUNNING, Standing.RUNNING, WAITS),
        (ALIVE, QUEUED, Standing.WAITING, WAITS),
        (ALIVE, SILENT, Standing.NOT_REPORTED, WAITS),
        (DEAD, FAILED, Standing.FAILED, FAILS),
        (GONE, FAILED, Standing.FAILED, FAILS),
        *[
            (where, how, Standing.LOST, WAITS)
            for where in (DEAD, GONE)
            for how in (QUEUED, RUNNING, REBOOTING, INTERRUPTED)
        ],
        (DEAD, SUCCEEDED, Standing.LOST, WAITS),
        (GONE, SUCCEEDED, Standing.LEFT, CONVERGES),
        (GONE, SILENT, Standing.LEFT, CONVERGES),
        (GONE, OLD, Standing.LEFT, CONVERGES),
    ],
)
def test_evidence_first(presence, report, was_seen_alive, standing, kind):
    """A node's report for the generation counts, whether the node was seen alive or not."""
    verdict = judge(presence, report, was_seen_alive=was_seen_alive)
    assert verdict.status.nodes["web-3"].standing is standing
    assert isinstance(verdict, kind)


@pytest.mark.parametrize(
    ("presence", "report", "was_seen_alive", "standing", "kind"),
    [
        (DEAD, SILENT, True, Standing.LOST, WAITS),
        (DEAD, OLD, True, Standing.LOST, WAITS),
        (DEAD, SILENT, False, Standing.ABSENT, CONVERGES),
        (DEAD, OLD, False, Standing.ABSENT, CONVERGES),
        (UNKNOWN, SILENT, False, Standing.UNKNOWN, WAITS),
        (UNKNOWN, OLD, False, Standing.LEFT, CONVERGES),
    ],
)
def test_presence_second(presence, report, was_seen_alive, standing, kind):
    """For a node without a report for the generation, it matters whether it was seen alive."""
    verdict = judge(presence, report, was_seen_alive=was_seen_alive)
    assert verdict.status.nodes["web-3"].standing is standing
    assert isinstance(verdict, kind)


LOST, ABSENT, LEFT = (DEAD, SUCCEEDED), (DEAD, SILENT), (GONE, SUCCEEDED)


@pytest.mark.parametrize(
    ("row", "present", "policy", "kind"),
    [
        (LOST, 3, {"max_lost": 1}, WAITS),  # 100% of those present have to converge, and it is one of them
        (LOST, 3, {"max_lost": 0, "min_converged": 2}, WAITS),
        (LOST, 3, {"max_lost": 1, "min_converged": 2}, CONVERGES),
        (LOST, 3, {"max_lost": "33%", "min_converged": 2}, WAITS),
        (LOST, 3, {"max_lost": "34%", "min_converged": 2}, CONVERGES),
        (LOST, 3, {"max_lost": 1, "min_converged": "67%"}, WAITS),
        (LOST, 3, {"max_lost": 1, "min_converged": "66%"}, CONVERGES),
        (LOST, 3, {"max_lost": 1, "min_converged": 2, "max_absent": 0}, CONVERGES),
        ((GONE, RUNNING), 3, {"max_lost": 0, "min_converged": 2}, WAITS),
        ((GONE, RUNNING), 3, {"max_lost": 1, "min_converged": 2, "max_absent": 0}, CONVERGES),
        ((DEAD, FAILED), 3, {"max_lost": 1, "max_absent": 1, "min_converged": 2}, FAILS),
        ((DEAD, FAILED), 3, {"max_failed": 1, "max_lost": 0, "max_absent": 0, "min_converged": 2}, CONVERGES),
        ((GONE, FAILED), 3, {"max_failed": 1, "max_lost": 0, "max_absent": 0, "min_converged": 2}, CONVERGES),
        ((GONE, FAILED), 3, {"max_failed": "33%", "min_converged": 2}, FAILS),
        *[(row, 2, {"max_absent": 0}, WAITS) for row in (ABSENT, LEFT)],
        *[(row, 2, {"max_absent": 1}, CONVERGES) for row in (ABSENT, LEFT)],
        *[(row, 2, {"max_absent": "33%"}, WAITS) for row in (ABSENT, LEFT)],
        *[(row, 2, {"max_absent": "34%"}, CONVERGES) for row in (ABSENT, LEFT)],
        *[(row, 2, {"max_lost": 0}, CONVERGES) for row in (ABSENT, LEFT)],
        *[(row, 2, {"min_members": 3}, WAITS) for row in (ABSENT, LEFT)],
    ],
)
def test_limits(row, present, policy, kind):
    """Lost nodes count as present, and in max_lost; absent nodes and those that left share max_absent."""
    verdict = judge(*row, **policy)
    assert verdict.status.present == present
    assert isinstance(verdict, kind)


def test_a_percentage_lost_is_of_the_whole_tier():
    """One lost node in a wave of one is a third of the tier; nodes absent elsewhere do not count."""
    assert isinstance(judge(DEAD, RUNNING, min_converged=2, max_lost="34%"), Converged)
    two = replace(
        make_snapshot(make_report("web-1"), RUNNING),
        members=make_members("web-1", absent=["web-2", "web-3"]),
    )
    for lost, kind in (("49%", Waiting), ("50%", Converged)):  # web-2 is absent: of two present, one is lost
        assert isinstance(verdict_of(two, policy=make_policy(min_converged=1, max_lost=lost)), kind)
