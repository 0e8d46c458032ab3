"""Who needs a nudge, and what its job is called."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.nudge.request import NudgeRequest, job_of
from tests.support.factory import NOW, make_writer

FIRST = NudgeRequest("chef-client", "job", 1, NOW + timedelta(seconds=3))
LATER = NudgeRequest("chef-client", "job", 2, NOW + timedelta(seconds=3), max_parallel=2, prefix_per_node="rexec")


@pytest.mark.parametrize(
    ("standing", "first", "later"),
    [
        (Standing.CONVERGED, False, False),
        (Standing.UNHEALTHY, False, False),
        (Standing.FAILED, False, False),
        (Standing.RUNNING, False, True),
        (Standing.REBOOTING, False, True),
        (Standing.NOT_REPORTED, True, True),
        (Standing.OLD_GENERATION, True, True),
        (Standing.WRONG_STATE, True, True),
        (Standing.INTERRUPTED, True, True),
        (Standing.FAILED_EARLIER, True, True),
        (Standing.MALFORMED, True, True),
    ],
)
def test_who_needs_a_nudge(standing, first, later):
    """A run that is under way counts on the first try only: one from before a later try may have been killed."""
    node = NodeStatus(Member("web-1"), standing=standing)
    assert (FIRST.needs(node), LATER.needs(node)) == (first, later)


@pytest.mark.parametrize("presence", set(Presence) - {Presence.ALIVE})
@pytest.mark.parametrize("standing", [Standing.ABSENT, Standing.LOST, Standing.LEFT, Standing.FAILED_EARLIER])
def test_nobody_is_nudged_who_is_not_there(presence, standing):
    """No event would reach it."""
    assert not LATER.needs(NodeStatus(Member("web-1", presence), standing=standing))


def test_every_standing_of_a_present_member_is_in_the_table():
    """A new one must be decided on."""
    [mark] = test_who_needs_a_nudge.pytestmark
    assert {row[0] for row in mark.args[1]} == set(Standing) - {
        Standing.ABSENT, Standing.LEFT, Standing.LOST, Standing.UNKNOWN,
    }  # fmt: skip


@pytest.mark.parametrize("request_", [FIRST, LATER])
def test_round_trip(request_):
    """Through Airflow's database."""
    assert NudgeRequest.from_fields(request_.to_fields()) == request_


def test_job_is_named_by_what_does_not_change_between_tries():
    """And by all that makes it another job: the run, the task, its map index, the environment, what was declared."""
    job = job_of(make_writer(), "demo", {"web": 7, "app": 3})
    assert job == job_of(make_writer(), "demo", {"app": 3, "web": 7})
    others = [
        job_of(make_writer(run_id="manual__2"), "demo", {"web": 7, "app": 3}),
        job_of(make_writer(task_id="other"), "demo", {"web": 7, "app": 3}),
        job_of(make_writer(map_index=3), "demo", {"web": 7, "app": 3}),
        job_of(make_writer(), "staging", {"web": 7, "app": 3}),
        job_of(make_writer(), "demo", {"web": 8, "app": 3}),
    ]
    assert len({job, *others}) == 6
