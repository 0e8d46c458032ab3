"""Judging a wait over time. The clock is a parameter, so each table says what is seen at which second."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Verdict, Waiting
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.support.factory import NOW, make_members, make_policy, make_report, make_snapshot, make_wait

NODES = ("web-1", "web-2", "web-3")
NONE = make_snapshot()
ONE = make_snapshot(make_report("web-1"))
TWO = make_snapshot(make_report("web-1"), make_report("web-2"))
ALL = make_snapshot(*map(make_report, NODES))
SICK = replace(ALL, members=make_members("web-1", "web-2") | make_members("web-3", unhealthy=("http is critical",)))


def seconds(number: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=number)


def look(snapshot: TierSnapshot, wait: Wait, policy: ConvergencePolicy, at: float) -> tuple[Wait, Verdict]:
    """Observe a snapshot some seconds after the wait began, as the loop does."""
    return wait.observe(snapshot, policy, now=NOW + seconds(at))


@pytest.mark.parametrize(
    ("policy", "seen", "verdict"),
    [
        ({}, [(0, ALL)], Converged),
        ({}, [(0, SICK)], Converged),
        ({"min_healthy_time": seconds(10)}, [(0, ALL)], Waiting),
        ({"min_healthy_time": seconds(10)}, [(0, ALL), (9, ALL)], Waiting),
        ({"min_healthy_time": seconds(10)}, [(0, ALL), (10, ALL)], Converged),
        ({"min_healthy_time": seconds(10)}, [(0, TWO), (5, ALL), (10, ALL)], Waiting),
        ({"min_healthy_time": seconds(10)}, [(0, ALL), (5, SICK), (10, ALL)], Waiting),
        ({"min_healthy_time": seconds(10)}, [(0, ALL), (5, SICK), (6, ALL), (16, ALL)], Converged),
        ({"min_healthy_time": seconds(10)}, [(0, SICK), (10, SICK)], Waiting),
        ({"min_healthy_time": seconds(10), "min_converged": 2}, [(0, SICK), (10, SICK)], Converged),
        ({"progress_deadline": seconds(10)}, [(0, ONE), (9, ONE)], Waiting),
        ({"progress_deadline": seconds(10)}, [(0, ONE), (10, ONE)], Failed),
        ({"progress_deadline": seconds(10)}, [(0, ONE), (9, TWO), (18, TWO)], Waiting),
        ({"progress_deadline": seconds(10)}, [(0, ONE), (9, TWO), (19, TWO)], Failed),
        ({"progress_deadline": seconds(10)}, [(0, TWO), (9, ONE), (10, TWO)], Failed),
        ({"progress_deadline": seconds(10)}, [(0, ONE), (10, ALL)], Converged),
        ({"progress_deadline": seconds(10), "min_healthy_time": seconds(20)}, [(0, ALL), (15, ALL)], Waiting),
        ({"progress_deadline": seconds(10), "min_healthy_time": seconds(20)}, [(0, ALL), (20, ALL)], Converged),
    ],
)
def test_verdict_in_time(policy, seen, verdict):
    """The last verdict, given what was seen at which second."""
    wait, policy, found = make_wait(), make_policy(**policy), None
    for at, snapshot in seen:
        wait, found = look(snapshot, wait, policy, at)
    assert isinstance(found, verdict)


def test_no_progress_names_who_is_slow():
    """The verdict names the limit that ran out and the nodes; the deadline takes precedence."""
    policy = make_policy(progress_deadline=seconds(10))
    snapshot = make_snapshot(
        make_report("web-1"), make_report("web-2", status=Status.RUNNING), members=NODES, absent=["web-4"]
    )
    wait, _ = look(snapshot, make_wait(), policy, 0)
    _, verdict = look(snapshot, wait, policy, 10)
    assert isinstance(verdict, Failed)
    assert not verdict.is_timeout
    assert verdict.reason == (
        "no further node converged within progress_deadline=0:00:10 (web-2, web-3): "
        "1 of 3 members present converged, 3 are needed"
    )
    _, verdict = look(snapshot, wait, policy, 600)
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout


def test_no_progress_of_those_who_are_absent():
    """If only absent members hold up the tier, the verdict names them under max_absent."""
    policy = make_policy(progress_deadline=seconds(10), max_absent=0)
    snapshot = make_snapshot(make_report("web-1"), members=["web-1"], absent=["web-2"])
    wait, _ = look(snapshot, make_wait(), policy, 0)
    _, verdict = look(snapshot, wait, policy, 10)
    assert isinstance(verdict, Failed)
    assert verdict.reason == (
        "no further node converged within progress_deadline=0:00:10: "
        "1 of 2 members are absent or have left (web-2); max_absent=0"
    )


def test_unhealthy_member_says_which_check():
    """A converged node whose service has a failing check holds up the tier."""
    _, verdict = look(SICK, make_wait(), make_policy(min_healthy_time=seconds(1)), 0)
    status = verdict.status.nodes["web-3"]
    assert (status.standing, describe_reason(status)) == (Standing.UNHEALTHY, "http is critical")


def test_deadline_while_the_policy_is_met():
    """A tier that converged too late to hold for min_healthy_time has not converged in time."""
    policy = make_policy(min_healthy_time=seconds(30))
    wait, verdict = look(ALL, make_wait(), policy, 580)
    assert isinstance(verdict, Waiting)
    _, verdict = look(ALL, wait, policy, 600)
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout
    assert verdict.reason == (
        "deadline passed: the policy has been met only since 2026-11-22T08:09:40+00:00; "
        "it must hold for min_healthy_time=0:00:30"
    )
    wait, _ = look(ALL, make_wait(), policy, 570)
    assert isinstance(look(ALL, wait, policy, 600)[1], Converged)


@pytest.mark.parametrize(
    ("policy", "seen", "moment"),
    [
        ({}, ONE, 600),
        ({"min_healthy_time": seconds(20)}, ONE, 600),
        ({"min_healthy_time": seconds(20)}, ALL, 20),
        ({"progress_deadline": seconds(10)}, ONE, 10),
        ({"progress_deadline": seconds(10), "min_healthy_time": seconds(20)}, ALL, 20),
        ({"progress_deadline": seconds(700)}, ONE, 600),
    ],
)
def test_next_moment(policy, seen, moment):
    """The next time at which the verdict may change by itself."""
    policy = make_policy(**policy)
    wait, _ = look(seen, make_wait(), policy, 0)
    assert wait.next_moment(policy, now=NOW) == NOW + seconds(moment)


looks = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([NONE, ONE, TWO, ALL, ALL, ALL, SICK])), min_size=1, max_size=8
)
policies = st.builds(
    make_policy,
    min_converged=st.sampled_from([0, 2, "100%"]),
    min_healthy_time=st.integers(0, 400).map(seconds),
    progress_deadline=st.none() | st.integers(1, 700).map(seconds),
)


@given(looks, policies)
def test_convergence_has_held_for_long_enough(steps, policy):
    """A converged tier met its policy at every look for min_healthy_time, and in time."""
    wait, at, met_since = make_wait(), 0, None
    for pause, snapshot in steps:
        at += pause
        now = NOW + seconds(at)
        is_met = wait.observe(snapshot, policy, now=now)[0].holding_since is not None
        met_since = None if not is_met else at if met_since is None else met_since
        wait, verdict = look(snapshot, wait, policy, at)
        assert isinstance(verdict, Converged) == (is_met and seconds(at - met_since) >= policy.min_healthy_time)
        if now >= wait.deadline:
            assert not isinstance(verdict, Waiting)
        if not isinstance(verdict, Waiting):
            return


@given(looks, policies)
def test_nothing_changes_before_the_next_moment(steps, policy):
    """Until then, another look at the same tier gives the same verdict; at that time, another one."""
    wait, at = make_wait(), 0
    for pause, snapshot in steps:
        at += pause
        wait, verdict = look(snapshot, wait, policy, at)
        if not isinstance(verdict, Waiting):
            return
    moment = (wait.next_moment(policy, now=NOW + seconds(at)) - NOW).total_seconds()
    assert moment > at
    assert isinstance(look(steps[-1][1], wait, policy, (at + moment) / 2)[1], Waiting)
    assert not isinstance(look(steps[-1][1], wait, policy, moment)[1], Waiting)


@given(looks, policies, st.integers(0, 900))
def test_next_moment_lies_ahead(steps, policy, late):
    """For any verdict, even of a converged tier, so that a loop that sleeps until then cannot spin."""
    wait, at = make_wait(), 0
    for pause, snapshot in steps:
        at += pause
        wait, _ = look(snapshot, wait, policy, at)
        now = NOW + seconds(at + late)
        moment = wait.next_moment(policy, now=now)
        assert moment > now or moment == wait.deadline


@given(looks, policies, st.integers(0, 9))
def test_wait_round_trips(steps, policy, failures_after):
    """A wait comes back from JSON unchanged, so that a restart continues where it was."""
    wait, at = make_wait(failures_after=failures_after), 0
    assert Wait.from_fields(json.loads(json.dumps(wait.to_fields()))) == wait
    for pause, snapshot in steps:
        at += pause
        wait, _ = look(snapshot, wait, policy, at)
        assert Wait.from_fields(json.loads(json.dumps(wait.to_fields()))) == wait


def test_a_wait_that_is_late_is_judged_as_of_its_deadline():
    """Even if the policy has been met only since after the deadline."""
    wait, verdict = look(ALL, make_wait(), make_policy(), 660)
    assert isinstance(verdict, Converged)
    assert isinstance(look(ALL, wait, make_policy(), 600)[1], Converged)
