"""What is said of a rollout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.explanation.rollout import (
    describe_attention,
    describe_content,
    describe_verdict,
    describe_wait,
)
from airflow_provider_chefconsul.domain.model.journal import JournalWave
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.attention import Attention
from airflow_provider_chefconsul.domain.verdict.rollout import Rollout, RolloutStatus
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import (
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
    make_writer,
)

GOING_ON = tier_status(make_snapshot(make_report("web-1"), absent=["web-9"]))
STUCK = tier_status(
    make_snapshot(
        make_report("web-1"),
        make_failure("web-2"),
        make_report("web-9", status=Status.RUNNING, finished_at=None),
        absent=["web-9"],
    )
)
BESIDE = tier_status(make_snapshot(desired=make_desired(8, stable=make_assignment(7), canary=make_canary(8))))
DONE = tier_status(make_snapshot(make_report("web-1"), members=["web-1"]))
FIRST = Rollout(
    make_assignment(),
    make_assignment(),
    make_writer(),
    JournalWave("25%", 1, 3),
    RolloutStatus.NODES,
    "2026-11-22T08:00:00Z",
    "",
    make_writer(),
)
CANARY = JournalWave("25%")


@pytest.mark.parametrize(
    ("status", "wave", "verdict"),
    [
        (RolloutStatus.NODES, FIRST.wave, "going on"),
        (RolloutStatus.NEXT_WAVE, FIRST.wave, "wave 1 is in place"),
        (RolloutStatus.NEXT_WAVE, CANARY, "the canary is in place"),
        (RolloutStatus.FAILED, None, "failed"),
        (RolloutStatus.CONVERGED, None, "in place"),
        (RolloutStatus.ROLLED_BACK, FIRST.wave, "rolled back, now converged 2.5.0"),
        (RolloutStatus.ABORTED, FIRST.wave, "aborted, now converged 2.5.0"),
        (RolloutStatus.ROLLING_BACK, FIRST.wave, "going back to converged 2.5.0"),
        (RolloutStatus.ROLLBACK_FAILED, FIRST.wave, "the rollback to converged 2.5.0 failed"),
        (RolloutStatus.GATE_FAILED, FIRST.wave, "its gate failed"),
        (RolloutStatus.REJECTED, FIRST.wave, "rejected"),
    ],
)
def test_where_it_stands(status, wave, verdict):
    """In a few words."""
    assert describe_verdict(replace(FIRST, status=status, wave=wave)) == verdict


@pytest.mark.parametrize(
    ("status", "wave", "tier", "is_frozen", "words"),
    [
        (RolloutStatus.NODES, FIRST.wave, GOING_ON, False, "waits for 2 of 4 nodes (web-2, web-3)"),
        (RolloutStatus.NODES, FIRST.wave, DONE, False, "waits for its check of the nodes"),
        (
            RolloutStatus.NODES, FIRST.wave, GOING_ON, True,
            "waits for 2 of 4 nodes (web-2, web-3); then for the end of the freeze",
        ),
        (RolloutStatus.NODES, JournalWave("100%", 3, 3), GOING_ON, True, "waits for 2 of 4 nodes (web-2, web-3)"),
        (RolloutStatus.NEXT_WAVE, FIRST.wave, DONE, True, "waits for the end of the freeze"),
        (
            RolloutStatus.NEXT_WAVE, FIRST.wave, DONE, False,
            "waits for the next wave: see the Dag run for an approval, a gate or a change window",
        ),
        (RolloutStatus.NEXT_WAVE, CANARY, DONE, False, "waits for somebody to promote or abort it"),
        (RolloutStatus.FAILED, None, GOING_ON, False, "fix the nodes and clear the failed task, or roll back"),
        (RolloutStatus.FAILED, FIRST.wave, BESIDE, False, "fix the nodes and clear the failed task, or abort"),
        (
            RolloutStatus.GATE_FAILED, FIRST.wave, BESIDE, True,
            "clear the gate's task to ask again, or promote or abort",
        ),
        (
            RolloutStatus.REJECTED, FIRST.wave, BESIDE, False,
            "promote or abort; until then its nodes keep what they have",
        ),
        (RolloutStatus.REJECTED, FIRST.wave, DONE, False, "roll back; until then its nodes keep what they have"),
        (RolloutStatus.ROLLING_BACK, FIRST.wave, GOING_ON, True, "waits for 2 of 4 nodes (web-2, web-3)"),
        (
            RolloutStatus.ROLLBACK_FAILED, FIRST.wave, STUCK, False,
            "waits for 3 of 4 nodes (web-9 lost, web-2 failed, web-3): fix them, then run chef-client on them",
        ),
        (RolloutStatus.FAILED, None, DONE, False, "its nodes are in place by now: clear the failed task to go on"),
        (RolloutStatus.CONVERGED, None, DONE, True, ""),
        (RolloutStatus.ABORTED, None, DONE, False, "all nodes are back; find out why, then trigger the Dag again"),
        (
            RolloutStatus.ROLLED_BACK, None, GOING_ON, False,
            "not back: 2 of 4 nodes (web-2, web-3); find out why, then trigger the Dag again",
        ),
    ],
)  # fmt: skip
def test_what_it_waits_for(status, wave, tier, is_frozen, words):
    """As far as Consul knows."""
    assert describe_wait(replace(FIRST, status=status, wave=wave), tier, is_frozen=is_frozen) == words


def test_what_a_tier_has():
    """The state, and the release where there is one."""
    assert describe_content(make_assignment(state="off", values={"debug": True})) == "off"
    assert describe_content(make_assignment(values={"release": 7, "debug": True})) == "converged 7"


def test_each_reason_has_words():
    """And no two have the same."""
    assert len({describe_attention(each) for each in Attention}) == len(Attention)
