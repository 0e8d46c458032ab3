"""Who needs a nudge, and what its job is called."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing
from airflow_provider_chefconsul.nudge.request import NudgeRequest, job_of
from tests.support.factory import NOW, make_report, make_writer

FIRST = NudgeRequest("chef-client", "job", 1, NOW + timedelta(seconds=3))
LATER = NudgeRequest("chef-client", "job", 2, NOW + timedelta(seconds=3), max_parallel=2, prefix_per_node="rexec")


def make_node(standing, presence=Presence.ALIVE, *, index=7):
    """A member that stands so by a report with this ModifyIndex."""
    evidence = Evidence(make_report("web-1"), index)
    return NodeStatus(Member("web-1", presence), standing=standing, evidence=evidence)


ALWAYS = {
    Standing.NOT_REPORTED, Standing.OLD_GENERATION, Standing.WRONG_STATE, Standing.INTERRUPTED,
    Standing.FAILED_EARLIER, Standing.MALFORMED,
}  # fmt: skip
NEVER = {Standing.CONVERGED, Standing.UNHEALTHY, Standing.FAILED}
UNDER_WAY = {Standing.WAITING, Standing.RUNNING, Standing.REBOOTING}
MISSING = {Standing.ABSENT, Standing.LEFT, Standing.LOST, Standing.UNKNOWN}


@pytest.mark.parametrize("standing", Standing)
def test_who_needs_a_nudge(standing):
    """Who has ended a run needs none, nor who began one since this try did; what began before may have been killed."""
    assert {*ALWAYS, *NEVER, *UNDER_WAY, *MISSING} == set(Standing), "a new standing must be decided on"
    if standing not in MISSING:
        found = [FIRST.needs(make_node(standing, index=index), begun_at=7, is_resumed=False) for index in (7, 8)]
        assert found == [standing in ALWAYS | UNDER_WAY, standing in ALWAYS]


def test_runs_under_way_are_taken_over_where_they_count():
    """After a deferral, with a limit: else as many again would start beside those that the worker started."""
    node = make_node(Standing.RUNNING, index=8)
    assert LATER.needs(node, begun_at=7, is_resumed=True)
    assert not FIRST.needs(node, begun_at=7, is_resumed=True)


@pytest.mark.parametrize("presence", [each for each in Presence if each is not Presence.ALIVE])
@pytest.mark.parametrize("standing", sorted({*MISSING, Standing.FAILED_EARLIER}))
def test_nobody_is_nudged_who_is_not_there(presence, standing):
    """No event would reach it."""
    assert not LATER.needs(make_node(standing, presence), begun_at=7, is_resumed=True)


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
