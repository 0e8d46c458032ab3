"""Promoting a canary early, and aborting a rollout."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.model.desired import Aborted, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.parameter import check_reason
from airflow_provider_chefconsul.domain.verdict.convergence import Failed
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.decision import Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.steering import (
    Abort,
    Promotion,
    find_end,
    find_gated,
    find_owner,
    find_rollout,
    plan_abort,
    plan_promotion,
)
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import (
    make_assignment,
    make_basis,
    make_canary,
    make_change,
    make_desired,
    make_members,
    make_wait,
    make_writer,
    verdict_of,
)

ADA = make_writer(dag_id="operate", run_id="manual__9", task_id="act")
ROLLOUT = make_writer(task_id="web.wave_1")
BEGUN = make_desired(8, stable=make_assignment(7), canary=make_canary(8), written_by=ROLLOUT)
WIDENED = replace(BEGUN, written_by=make_writer(run_id="another", task_id="widen"))
HISTORY = {8: BEGUN}
NEXT = {"state": "converged", "values": {"release": "2.6.0"}}


def promote(current, writer=ADA):
    """Plan a promotion."""
    return plan_promotion(make_basis(current, history=HISTORY), Promotion(writer))


def abort(current, writer=ADA, history=None):
    """Plan an abort."""
    return plan_abort(make_basis(current, history=HISTORY if history is None else history), Abort(writer, "errors"))


def test_promotion_keeps_the_generation():
    """All nodes get the canary's assignment; those that have it do nothing."""
    decision = promote(BEGUN)
    assert isinstance(decision, Write)
    desired = decision.desired
    assert (desired.stable, desired.canary, desired.previous) == (make_canary(8).assignment, None, 7)
    assert (decision.generation, decision.is_new, decision.act) == (8, False, JournalAct.PROMOTED)
    assert (desired.written_by, desired.written_at) == (ADA, "2026-11-22T09:00:00Z")
    assert promote(desired) == Unchanged(8)  # a retry
    again = promote(desired, make_writer(task_id="other"))
    assert isinstance(again, Refused)
    assert again.reason.startswith(
        "no canary is out, so there is nothing to promote: all nodes are assigned generation 8"
    )


def test_waves_that_are_left_find_nothing_to_do():
    """After a promotion the rollout's own waves pass, with the generation that they began."""
    desired = promote(BEGUN).desired
    for canary in (Wave.parse(2), Wave.parse("50%"), None):
        change = make_change(**NEXT, canary=canary, writer=make_writer(task_id="web.wave_2"))
        assert plan_write(make_basis(desired, members=make_members("web-1", "web-2")), change) == Unchanged(8)


@pytest.mark.parametrize("current", [BEGUN, WIDENED], ids=["begun", "widened by another"])
def test_abort_rolls_the_canary_back_for_good(current):
    """No later wave of the Dag run that began it begins it anew; another Dag run may."""
    decision = abort(current)
    assert isinstance(decision, Write)
    desired = decision.desired
    assert (desired.canary, desired.stable, decision.generation) == (None, make_assignment(7), 7)
    assert desired.aborted == Aborted("shop_rollout", "manual__1", 8, ADA, "errors")
    assert decision.act is JournalAct.ROLLED_BACK
    assert abort(desired) == Unchanged(7)  # a retry
    second = abort(desired, make_writer(task_id="other"))
    assert isinstance(second, Refused)
    assert second.reason.endswith(
        "; the rollout of generation 8 was aborted by Dag operate, run manual__9, task act: errors"
    )
    later = make_change(**NEXT, canary=Wave.parse(2), writer=make_writer(task_id="web.wave_2"))
    basis = make_basis(desired, members=make_members("web-1", "web-2"), generations=[7, 8])
    refused = plan_write(basis, later)
    assert isinstance(refused, Refused)
    assert refused.is_aborted
    assert refused.reason.startswith(
        "the rollout of generation 8 was aborted by Dag operate, run manual__9, task act: errors"
    )
    anew = plan_write(basis, replace(later, writer=make_writer(run_id="manual__2")))
    assert isinstance(anew, Write)
    assert anew.desired.canary.assignment.generation == 9


def test_what_was_aborted_stays_so_whatever_others_write():
    """An approval that is given later must not begin the rollout again."""
    desired = abort(BEGUN).desired
    theirs = make_change(values={"release": "2.7.0"}, writer=make_writer(run_id="manual__2"))
    after = plan_write(make_basis(desired, generations=[7, 8]), theirs).desired
    second = abort(after, make_writer(task_id="other"))
    assert "was aborted by" not in second.reason  # that explains nothing of what stands now
    later = make_change(**NEXT, canary=Wave.parse(1), writer=make_writer(task_id="web.wave_2"))
    assert plan_write(make_basis(after, members=make_members("web-1")), later).is_aborted


def test_waits_of_an_aborted_rollout_say_why():
    """They fail at once."""
    desired = abort(BEGUN).desired
    verdict = verdict_of(TierSnapshot(desired, make_members("web-1")), make_wait(8))
    assert isinstance(verdict, Failed)
    assert verdict.reason == (
        "the rollout of generation 8 was aborted by Dag operate, run manual__9, task act: errors "
        "(at 2026-11-22T09:00:00Z)"
    )


@pytest.mark.parametrize("plan", [promote, abort])
@pytest.mark.parametrize(
    ("current", "reason"),
    [(None, "the tier has no desired state"), (make_desired(7), "no canary is out")],
    ids=["undeclared", "without a canary"],
)
def test_refused_without_a_canary(plan, current, reason):
    """In words that say what stands."""
    decision = plan(current)
    assert isinstance(decision, Refused)
    assert decision.reason.startswith(reason)


def test_whose_rollout_it_is():
    """Of whoever began the canary; of the last writer where the history no longer tells."""
    assert find_rollout(make_basis(WIDENED, history=HISTORY)) == ROLLOUT
    assert find_rollout(make_basis(WIDENED)) == WIDENED.written_by
    assert find_rollout(make_basis(make_desired(7))) is None
    assert find_rollout(make_basis(None)) is None


@pytest.mark.parametrize(
    ("desired", "end"),
    [
        (BEGUN, None),
        (promote(BEGUN).desired, True),
        (abort(BEGUN).desired, False),
        (make_desired(7), None),  # rolled back otherwise: the next write finds out
        (make_desired(9), None),
    ],
    ids=["going on", "promoted", "aborted", "rolled back", "superseded"],
)
def test_how_a_rollout_was_ended(desired, end):
    """For those who wait for something else meanwhile."""
    found = find_end(desired, 8)
    assert (found and found.is_promoted) == end


def test_document_keeps_what_was_aborted():
    """Older clients ignore the field; without an abort it is not there."""
    desired = abort(BEGUN).desired
    assert DesiredState.from_json("k", desired.to_json()) == desired
    assert "aborted" not in json.loads(BEGUN.to_json())


@pytest.mark.parametrize("reason", ["", "  ", None, 7])
def test_reason_is_required(reason):
    """In one clear error."""
    with pytest.raises(InvalidInput, match="reason must say why"):
        check_reason(reason)


@pytest.mark.parametrize("plan", [plan_promotion, plan_abort])
def test_only_the_canary_that_is_meant_is_steered(plan):
    """Whoever confirms a plan has seen that one, and no other."""
    request = Promotion if plan is plan_promotion else Abort
    basis = make_basis(BEGUN, history=HISTORY)
    assert isinstance(plan(basis, request(ADA, "errors", 8)), Write)
    refused = plan(basis, request(ADA, "errors", 7))
    assert refused == Refused("the canary of generation 7 is no longer out; generation 8 is", is_stale=True)


def test_a_tier_belongs_to_whoever_began_its_canary():
    """Or declared what all nodes have, whoever promoted it; to the last writer where the history no longer tells."""
    assert find_owner(promote(BEGUN).desired, HISTORY) == ROLLOUT
    assert find_owner(WIDENED, HISTORY) == ROLLOUT
    assert find_owner(WIDENED, {}) == WIDENED.written_by
    assert find_owner(replace(WIDENED, canary=None), HISTORY) == WIDENED.written_by


@pytest.mark.parametrize(
    ("desired", "generation"),
    [
        (BEGUN, 8),
        (replace(BEGUN, written_by=ADA), 8),  # whoever widened it
        (abort(BEGUN).desired, 8),
        (replace(abort(BEGUN).desired, stable=make_assignment(9)), 8),  # and then another release was declared
        (abort(BEGUN, history={8: replace(BEGUN, written_by=ADA)}).desired, None),  # the rollout of another Dag run
        (promote(BEGUN).desired, 8),
        (promote(BEGUN, ROLLOUT).desired, None),  # by its own last wave
        (make_desired(7), None),
        (make_desired(9, written_by=ADA), None),
    ],
)
def test_rollout_of_a_gate(desired, generation):
    """The one whose canary is out, or that somebody else has ended; a gate elsewhere is about none."""
    history = HISTORY | {7: make_desired(7), 9: make_desired(9)}
    assert find_gated(desired, history, ROLLOUT) == generation


def test_rollout_of_a_gate_that_another_dag_run_began():
    """Its promotion is no reason to measure nothing."""
    assert find_gated(promote(BEGUN).desired, HISTORY, make_writer(run_id="later")) is None
