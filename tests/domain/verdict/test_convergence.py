"""Judging a wait: tables of cases. The properties of any tier are in test_convergence_properties.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.explanation.tier import describe_counts
from airflow_provider_chefconsul.domain.model.desired import Canary
from airflow_provider_chefconsul.domain.model.membership import Presence
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Verdict, Waiting
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.support.factory import (
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_members,
    make_policy,
    make_report,
    make_snapshot,
    make_wait,
    seen,
    verdict_of,
)


def stands(verdict: Verdict, node: str) -> tuple[Standing | None, str]:
    """Where a node stands, and why in a few words."""
    status = verdict.status.nodes[node]
    return status.standing, describe_reason(status)


ALL = [make_report(node) for node in ("web-1", "web-2", "web-3")]
TWO = ALL[:2]


@pytest.mark.parametrize(
    ("third", "standing", "why"),
    [
        (None, Standing.NOT_REPORTED, "has never reported"),
        (make_report("web-3", status=Status.RUNNING), Standing.RUNNING, "since 2026-11-22T08:00:01Z"),
        (make_report("web-3", status=Status.REBOOTING), Standing.REBOOTING, "since 2026-11-22T08:00:09Z"),
        (make_report("web-3", generation=6), Standing.OLD_GENERATION, "succeeded on generation 6"),
        (make_report("web-3", state="off"), Standing.WRONG_STATE, "reports state off, not converged"),
        (("web-3", Unreadable("k", "not JSON")), Standing.MALFORMED, "k: not JSON"),
        (
            make_failure("web-3", generation=None, state=None, error=RunError("JSON::ParserError", "eof")),
            Standing.NOT_REPORTED,
            "its last run ended before it had read a generation: JSON::ParserError: eof",
        ),
    ],
)
def test_one_member_holds_the_tier_up(third, standing, why):
    """Whatever a member's report lacks, the tier waits and names the member and the reason."""
    verdict = verdict_of(make_snapshot(*TWO, *([third] if third else [])))
    assert isinstance(verdict, Waiting)
    assert stands(verdict, "web-3") == (standing, why)
    assert verdict.status.by_standing[Standing.CONVERGED] == ["web-1", "web-2"]


def test_everyone_reported():
    """The reports of all members have the generation, the state and success."""
    verdict = verdict_of(make_snapshot(*ALL))
    assert isinstance(verdict, Converged)
    assert describe_counts(verdict.status) == "3 of 3 members converged"


def test_failure_fails_at_once_and_names_the_resource():
    """One failed member exceeds max_failed=0."""
    verdict = verdict_of(make_snapshot(*TWO, make_failure("web-3")))
    assert isinstance(verdict, Failed)
    assert verdict.reason == "1 of 3 members present failed (web-3); max_failed=0 is spent"
    why = "Errno::ENOSPC: No space left on device in file[/srv/web/index.html]"
    assert stands(verdict, "web-3") == (Standing.FAILED, why)


def test_failure_within_max_failed():
    """With min_converged also lowered, a tier converges without one member."""
    snapshot = make_snapshot(*TWO, make_failure("web-3"))
    assert isinstance(verdict_of(snapshot, policy=make_policy(max_failed="34%", min_converged="60%")), Converged)
    assert isinstance(verdict_of(snapshot, policy=make_policy(max_failed=1)), Waiting)
    assert isinstance(verdict_of(snapshot, policy=make_policy(max_failed="33%", min_converged="60%")), Failed)


def test_failure_before_this_try_is_history():
    """A retry gives the failed node another run, and fails if that fails too."""
    snapshot = make_snapshot(*TWO, make_failure("web-3"))
    (index,) = {evidence.modify_index for node, evidence in snapshot.evidence.items() if node == "web-3"}
    verdict = verdict_of(snapshot, make_wait(failures_after=index))
    assert isinstance(verdict, Waiting)
    assert verdict.status.nodes["web-3"].standing is Standing.FAILED_EARLIER
    assert isinstance(verdict_of(snapshot, make_wait(failures_after=index - 1)), Failed)


def test_absent_members_are_excused_but_not_alone():
    """Absent members hold nothing up, but a tier of only absent members never converges."""
    assert isinstance(verdict_of(make_snapshot(*TWO, members=("web-1", "web-2"), absent=["web-3"])), Converged)
    everyone = ("web-1", "web-2", "web-3")
    assert isinstance(verdict_of(make_snapshot(members=(), absent=everyone)), Waiting)
    assert isinstance(verdict_of(make_snapshot(*ALL, members=(), absent=everyone)), Waiting)


def test_max_absent():
    """Too many absent members hold up the tier until they return or the deadline comes."""
    snapshot = make_snapshot(*TWO, members=("web-1", "web-2"), absent=["web-3"])
    assert isinstance(verdict_of(snapshot, policy=make_policy(max_absent=0)), Waiting)
    verdict = verdict_of(snapshot, make_wait(), make_policy(max_absent=0), now=make_wait().deadline)
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout
    assert verdict.reason == "deadline passed: 1 of 3 members are absent or have left (web-3); max_absent=0"


def test_member_that_leaves_the_catalog_has_left():
    """A member seen since the wait began remains a member, and counts in max_absent."""
    wait = seen(make_wait(), make_snapshot(*TWO))
    verdict = verdict_of(make_snapshot(*TWO, members=("web-1", "web-2")), wait, make_policy(max_absent=0))
    assert isinstance(verdict, Waiting)
    assert verdict.status.by_standing[Standing.LEFT] == ["web-3"]
    assert isinstance(verdict_of(make_snapshot(*TWO, members=("web-1", "web-2")), wait), Converged)


def test_interval_run_does_not_undo_convergence():
    """A node seen converged that runs Chef again remains converged until that run fails."""
    wait = seen(make_wait(), make_snapshot(*ALL))
    again = make_report("web-3", status=Status.RUNNING)
    assert isinstance(verdict_of(make_snapshot(*TWO, again), wait), Converged)
    assert isinstance(verdict_of(make_snapshot(*TWO, make_failure("web-3")), wait), Failed)


def test_no_members_is_an_error():
    """An empty tier is not zero nodes to wait for."""
    verdict = verdict_of(make_snapshot(members=()))
    assert isinstance(verdict, Failed)
    assert verdict.reason == "the tier has no members"


def test_superseded_names_who_did_it():
    """A newer generation ends the wait and names the Dag run that wrote it."""
    verdict = verdict_of(make_snapshot(*ALL, desired=make_desired(8)))
    assert isinstance(verdict, Failed)
    assert verdict.reason == (
        "generation 7 is superseded by generation 8, state converged, "
        "written by Dag shop_rollout, run manual__1, task web.set at 2026-11-22T08:00:00Z"
    )


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (None, "has no desired state"),
        (Unreadable("chefconsul/demo/web/desired", "not JSON"), "chefconsul/demo/web/desired: not JSON"),
        (make_desired(6), "generation 7 is ahead of the desired state, which is at generation 6"),
    ],
)
def test_desired_state_that_cannot_be_waited_for(desired, words):
    """A desired state that is deleted, unreadable or set back ends the wait."""
    verdict = verdict_of(make_snapshot(*ALL, desired=desired))
    assert isinstance(verdict, Failed)
    assert words in verdict.reason


def test_only_members_assigned_the_generation_count():
    """A wait for a canary ignores the nodes outside it."""
    canary = Canary(make_assignment(8, values={"release": "2.6.0"}), salt="8", threshold=0, nodes=("web-2",))
    desired = make_desired(8, stable=make_assignment(7), canary=canary)
    snapshot = make_snapshot(make_report("web-2", generation=8), desired=desired)
    verdict = verdict_of(snapshot, make_wait(8))
    assert isinstance(verdict, Converged)
    assert list(verdict.status.nodes) == ["web-2"]
    assert isinstance(verdict_of(snapshot, make_wait(7)), Waiting)


def test_limits_are_of_the_whole_tier():
    """In a canary of one, one failure of three is within a third, and absent members elsewhere count."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(nodes=("web-2",)))
    failed = make_snapshot(make_failure("web-2", generation=8), desired=desired)
    assert isinstance(verdict_of(failed, make_wait(8), make_policy(max_failed="34%", min_converged=0)), Waiting)
    verdict = verdict_of(failed, make_wait(8), make_policy(max_failed="33%"))
    assert isinstance(verdict, Failed)
    assert verdict.reason == "1 of 3 members present failed (web-2); max_failed=33% is spent"
    there = make_snapshot(
        make_report("web-2", generation=8), desired=desired, members=("web-1", "web-2"), absent=["web-3"]
    )
    assert isinstance(verdict_of(there, make_wait(8), make_policy(max_absent="33%")), Waiting)
    assert isinstance(verdict_of(there, make_wait(8), make_policy(max_absent="34%")), Converged)


def test_all_waves_share_max_failed():
    """A failure in the first wave still counts in the second: the generation is the same."""
    names = [f"web-{number}" for number in range(1, 7)]
    reports = [make_failure(node, generation=8) for node in names[:2]]
    policy = make_policy(max_failed=1, min_converged=0)
    for size, kind in ((1, Waiting), (2, Failed)):
        desired = make_desired(8, stable=make_assignment(7), canary=make_canary(nodes=tuple(names[:size])))
        assert isinstance(
            verdict_of(make_snapshot(*reports, members=names, desired=desired), make_wait(8), policy), kind
        )


def test_reason_names_the_first_eight():
    """A large tier's verdict remains one line."""
    names = [f"web-{number}" for number in range(1, 10)]
    verdict = verdict_of(make_snapshot(*map(make_failure, names), members=names))
    assert isinstance(verdict, Failed)
    assert verdict.reason == (
        "9 of 9 members present failed (web-1, web-2, web-3, web-4, web-5, web-6, web-7, web-8, … and 1 more); "
        "max_failed=0 is spent"
    )


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (
            make_desired(8, stable=make_assignment(7)),
            "generation 8 was rolled back to generation 7, state converged, written by Dag shop_rollout, ",
        ),
        (
            make_desired(9, stable=make_assignment(7, state="off"), canary=make_canary(9)),
            "generation 8 is superseded by generation 9, state converged, written by Dag shop_rollout, ",
        ),
    ],
)
def test_end_of_the_canary_ends_the_wait(desired, words):
    """It was rolled back or replaced by another."""
    verdict = verdict_of(make_snapshot(*ALL, desired=desired), make_wait(8))
    assert isinstance(verdict, Failed)
    assert words in verdict.reason


@pytest.mark.parametrize("policy", [{"min_converged": 2}, {"min_members": 2}], ids=str)
def test_wave_is_not_asked_for_more_nodes_than_it_covers(policy):
    """Else min_members for a whole tier would hold up the first wave forever."""
    canary = Canary(make_assignment(8), salt="8", threshold=0, nodes=("web-1",))
    desired = make_desired(8, stable=make_assignment(7), canary=canary)
    wave = make_snapshot(make_report("web-1", generation=8), desired=desired)
    assert isinstance(verdict_of(wave, make_wait(8), make_policy(**policy)), Converged)
    assert isinstance(verdict_of(make_snapshot(make_report("web-1")), policy=make_policy(**policy)), Waiting)


@pytest.mark.parametrize(
    ("third", "policy", "kind"),
    [
        ({"presence": Presence.FAILED}, {}, Waiting),
        ({"presence": Presence.FAILED}, {"max_lost": 1}, Waiting),
        ({"presence": Presence.FAILED}, {"max_lost": 1, "min_converged": 2}, Converged),
        ({"presence": Presence.FAILED}, {"max_lost": "33%", "min_converged": "60%"}, Waiting),
        ({"presence": Presence.FAILED}, {"max_lost": "34%", "min_converged": "60%"}, Converged),
        ({"presence": Presence.FAILED}, {"min_converged": 2}, Waiting),
        ({"presence": Presence.GONE}, {}, Converged),
        ({"presence": Presence.GONE}, {"max_absent": 0}, Waiting),
        ({"presence": Presence.GONE}, {"max_absent": "34%"}, Converged),
    ],
)
def test_a_node_that_dies_of_the_release_holds_the_tier_up(third, policy, kind):
    """All nodes reported success, then one is lost or leaves."""
    members = make_members("web-1", "web-2") | make_members("web-3", **third)
    assert isinstance(verdict_of(replace(make_snapshot(*ALL), members=members), policy=make_policy(**policy)), kind)


def test_lost_nodes_are_named():
    """The reason names the lost nodes and the limit that they exceed."""
    snapshot = make_snapshot(*ALL, members=("web-1", "web-2"), absent=["web-3"])
    verdict = verdict_of(snapshot, make_wait(), make_policy(), now=make_wait().deadline)
    assert verdict.reason == (
        "deadline passed: 2 of 3 members present converged, 3 are needed; "
        "1 of 3 members present are lost (web-3): their agents are no longer alive; max_lost=0"
    )


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (make_failure("web-3"), "1 failed before this try, with no success since (web-3)"),
        (("web-3", Unreadable("k", "not JSON")), "the reports of 1 cannot be read (web-3)"),
    ],
)
def test_failures_of_an_earlier_try_prevent_convergence(report, words):
    """Nor does a report pass that may hide one; but neither fails a later try at once."""
    snapshot, wait = make_snapshot(*TWO, report), make_wait(failures_after=10**6)
    policy = make_policy(min_converged=2)
    assert isinstance(verdict_of(snapshot, wait, policy), Waiting)
    assert words in verdict_of(snapshot, wait, policy, now=wait.deadline).reason
    assert isinstance(verdict_of(snapshot, wait, make_policy(min_converged=2, max_failed=1)), Converged)


def test_convergence_is_forgotten_after_contrary_evidence():
    """After a failure, another assignment or an unreadable report, a running node has not converged."""
    running = make_report("web-3", status=Status.RUNNING)
    policy = make_policy(max_failed=1)
    takers = (make_failure("web-3"), make_report("web-3", generation=8), ("web-3", Unreadable("k", "not JSON")))
    for between in takers:
        wait = seen(make_wait(), make_snapshot(*ALL), make_snapshot(*TWO, between))
        assert isinstance(verdict_of(make_snapshot(*TWO, running), wait, policy), Waiting)
    out = make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=("web-3",)))
    wait = seen(make_wait(), make_snapshot(*ALL), make_snapshot(*ALL, desired=out))
    assert isinstance(verdict_of(make_snapshot(*TWO, running), wait, policy), Waiting)


def test_a_generation_that_recurs_is_another():
    """If the tier is deleted and declared again, or restored, the awaited assignment will never come."""
    first, again = (make_desired(7, stable=make_assignment(7, id=each)) for each in ("a1", "b2"))
    wait = seen(make_wait(), make_snapshot(*TWO, desired=first))
    wait = Wait.from_fields(wait.to_fields())
    verdict = verdict_of(make_snapshot(*[replace(report, id="b2") for report in ALL], desired=again), wait)
    assert isinstance(verdict, Failed)
    assert verdict.reason.startswith("generation 7 is no longer the one waited for: the tier was deleted or restored")
    assert isinstance(verdict_of(make_snapshot(*ALL, desired=make_desired(7)), wait), Converged), "an older writer's"


def test_a_lost_nodes_unreadable_report_may_hide_a_failure():
    """The node counts in both max_lost and max_failed."""
    snapshot = make_snapshot(*TWO, ("web-3", Unreadable("k", "not JSON")), members=("web-1", "web-2"), absent=["web-3"])
    policy = make_policy(min_converged=2, max_lost=1)
    assert isinstance(verdict_of(snapshot, policy=policy), Waiting)
    reason = verdict_of(snapshot, make_wait(), policy, now=make_wait().deadline).reason
    assert reason == "deadline passed: of 3 members present, the reports of 1 cannot be read (web-3); max_failed=0"
    assert isinstance(verdict_of(snapshot, policy=replace(policy, max_failed=1)), Converged)
