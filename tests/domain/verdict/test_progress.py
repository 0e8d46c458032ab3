"""The progress of a rollout: when each member converged."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.progress import converged_moments, thin_out
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import NOW, make_canary, make_desired, make_failure, make_report, make_snapshot


def finished(node, second, **overrides):
    """A report of a run that finished so many seconds after eight."""
    return make_report(node, finished_at=f"2026-11-22T08:00:{second:02d}Z", **overrides)


def seconds(snapshot):
    """When members converged, in seconds after eight."""
    return [(moment - NOW).total_seconds() for moment in converged_moments(tier_status(snapshot))]


def test_members_count_from_the_end_of_their_run():
    """In order of time, not of names."""
    assert seconds(make_snapshot(finished("web-1", 30), finished("web-2", 10), finished("web-3", 20))) == [10, 20, 30]


def test_members_that_have_not_converged_do_not_count():
    """An old generation, another state, a failure, a run in progress, an unreadable report, or none."""
    assert seconds(make_snapshot(finished("web-1", 10, generation=6), finished("web-2", 10, state="off"))) == []
    assert seconds(make_snapshot(make_failure("web-1"), make_report("web-2", status=Status.RUNNING))) == []
    assert seconds(make_snapshot(("web-1", Unreadable("k", "spoilt")))) == []


def test_absent_members_and_strangers_do_not_count():
    """As in the number of converged members, where the curve ends."""
    snapshot = make_snapshot(finished("web-1", 10), finished("web-9", 10), members=("web-2",), absent=("web-1",))
    assert seconds(snapshot) == []


def test_both_assignments_count_while_a_canary_is_out():
    """Each node on its own assignment."""
    desired = make_desired(8, stable=make_desired().stable, canary=make_canary(8))
    snapshot = make_snapshot(finished("web-1", 10, generation=8), finished("web-2", 5), desired=desired)
    assert seconds(snapshot) == [5, 10]


def test_unreadable_time_is_left_out():
    """Nodes may write anything there."""
    assert seconds(make_snapshot(make_report("web-1", finished_at="yesterday"), finished("web-2", 5))) == [5]


def test_nothing_has_converged_without_a_desired_state():
    """Whether it is missing or unreadable."""
    assert seconds(make_snapshot(finished("web-1", 10), desired=None)) == []
    assert seconds(make_snapshot(finished("web-1", 10), desired=Unreadable("k", "spoilt"))) == []


def test_thinning_keeps_the_ends_and_the_limit():
    """The first and the last point remain, and counts only grow."""
    moments = [NOW + timedelta(seconds=each) for each in range(1000)]
    points = thin_out(moments, 50)
    assert len(points) == 50
    assert points[0] == (moments[0], 1)
    assert points[-1] == (moments[-1], 1000)
    assert points == sorted(points)


def test_members_that_converged_at_once_are_one_point():
    """With the highest count."""
    assert thin_out([NOW, NOW, NOW + timedelta(seconds=1)], 50) == [(NOW, 2), (NOW + timedelta(seconds=1), 3)]
    assert thin_out([], 50) == []
