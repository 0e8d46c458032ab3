"""Which tiers need a person."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.attention import LATE_AFTER, Attention, find_attention
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import (
    NOW,
    make_assignment,
    make_failure,
    make_report,
    make_snapshot,
    make_unreadable,
    make_writer,
)

DONE = make_snapshot(*(make_report(f"web-{number}") for number in (1, 2, 3)))
GOING_ON = make_snapshot(make_report("web-1"))
SLOW = make_snapshot(make_report("web-1"), make_report("web-2", status=Status.RUNNING, finished_at=None))
SOON, LATE = NOW + LATE_AFTER, NOW + LATE_AFTER + timedelta(seconds=1)


def rollout(status):
    """One that stands so since eight."""
    return Rollout(
        make_assignment(), make_assignment(), make_writer(), None, status, "2026-11-22T08:00:00Z", "", make_writer()
    )


@pytest.mark.parametrize(
    ("snapshot", "status", "is_frozen", "now", "attention"),
    [
        (DONE, None, False, LATE, None),
        (DONE, RolloutStatus.CONVERGED, True, LATE, None),
        (GOING_ON, RolloutStatus.NODES, False, SOON, None),
        (GOING_ON, RolloutStatus.NODES, False, LATE, Attention.LATE),
        (DONE, RolloutStatus.NEXT_WAVE, False, LATE, None),  # an approval may take its time
        (DONE, RolloutStatus.NEXT_WAVE, True, SOON, Attention.FROZEN_ROLLOUT),
        (GOING_ON, RolloutStatus.FAILED, False, SOON, Attention.FAILED_ROLLOUT),
        (DONE, RolloutStatus.FAILED, False, SOON, None),  # the nodes got there later
        (GOING_ON, RolloutStatus.ROLLED_BACK, True, LATE, None),
        (DONE, RolloutStatus.GATE_FAILED, True, SOON, Attention.STOPPED_ROLLOUT),
        (DONE, RolloutStatus.REJECTED, False, SOON, Attention.STOPPED_ROLLOUT),
        (GOING_ON, RolloutStatus.ROLLBACK_FAILED, False, SOON, Attention.FAILED_ROLLBACK),
        (GOING_ON, RolloutStatus.ROLLING_BACK, False, SOON, None),
        (GOING_ON, RolloutStatus.ROLLING_BACK, False, LATE, Attention.LATE),
        (SLOW, RolloutStatus.NODES, False, NOW + timedelta(minutes=3), Attention.LATE),
        (SLOW, RolloutStatus.NODES, False, NOW + timedelta(minutes=1), None),
        (make_snapshot(make_failure("web-2")), RolloutStatus.FAILED, True, LATE, Attention.BROKEN_NODES),
        (make_snapshot(make_failure("web-2")), None, False, SOON, Attention.BROKEN_NODES),
        (make_snapshot(desired=None), None, False, SOON, Attention.UNUSABLE),
        (make_snapshot(desired=make_unreadable()), None, False, SOON, Attention.UNUSABLE),
        (make_snapshot(members=()), None, False, SOON, Attention.UNUSABLE),
    ],
)
def test_who_needs_a_person(snapshot, status, is_frozen, now, attention):
    """The gravest reason, or none."""
    found = find_attention(
        tier_status(snapshot), status and rollout(status), is_orphaned=False, is_frozen=is_frozen, now=now
    )
    assert found == attention


@pytest.mark.parametrize(
    ("status", "is_frozen", "attention"),
    [
        (RolloutStatus.NODES, False, Attention.ORPHANED),
        (RolloutStatus.NEXT_WAVE, True, Attention.ORPHANED),  # it would go no further without the freeze, too
        (RolloutStatus.REJECTED, False, Attention.STOPPED_ROLLOUT),
        (None, False, Attention.ORPHANED),  # the journal has forgotten it
    ],
)
def test_rollout_that_its_dag_run_has_left_needs_a_person(status, is_frozen, attention):
    """Unless it needs one for a graver reason."""
    found = find_attention(
        tier_status(DONE), status and rollout(status), is_orphaned=True, is_frozen=is_frozen, now=SOON
    )
    assert found == attention
