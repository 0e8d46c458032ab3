"""The JSON of what is going on: the rollouts, and what leads each tier's card."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from airflow_provider_chefconsul.consul.journal_watch import JournalState
from airflow_provider_chefconsul.domain.model.freeze import Freeze, make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.writer import BOARD
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate
from airflow_provider_chefconsul.ui.situation import describe_situation, owners_of
from airflow_provider_chefconsul.ui.tier_state import next_state
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
    make_writer,
)
from tests.ui.viewers import Reader

AT = "2026-11-22T08:00:00.000Z"
CANARY = make_canary(8)
BESIDE = make_desired(8, stable=make_assignment(7), canary=CANARY, previous=6)
BEGUN = JournalEntry(
    AT,
    make_writer(),
    JournalAct.DECLARED,
    {"web": CANARY.assignment},
    JournalWave("1", 1, 3),
    "a bug of Dag other, run 1",
)
DB = JournalEntry(AT, make_writer(run_id="manual__2"), JournalAct.DECLARED, {"db": make_assignment(7)})
THERE = [make_report(f"web-{number}") for number in (1, 2, 3)]
HISTORY = {6: make_desired(6, stable=make_assignment(6, state="off"), written_by=make_writer(run_id="manual__0"))}


def seen(snapshots, *entries, reader=None, freeze=None, orphans=MappingProxyType({})):
    """What a viewer sees of tiers, at eight."""
    states = {tier: next_state("demo", tier, snapshot, HISTORY) for tier, snapshot in snapshots.items()}
    found = describe_situation(states, JournalState(freeze or Freeze(), entries), orphans, reader or Reader(), now=NOW)
    return json.loads(json.dumps(found))


def test_a_rollout_has_a_line():
    """With its Dag run, wave, verdict, and what it waits for."""
    (line,) = seen({"web": make_snapshot(*THERE, desired=BESIDE)}, BEGUN)["rollouts"]
    assert (line["tiers"], line["content"], line["wave"]) == (["web"], "converged 2.6.0", "wave 1 of 3 (1)")
    assert (line["verdict"], line["wait"]) == ("going on", "waits for 1 of 1 nodes (web-1)")
    assert (line["run"]["run_id"], line["since"], line["has_ended"]) == ("manual__1", AT, False)


def test_names_of_dags_are_withheld():
    """Of the run, and in a reason; the rest of the line stays."""
    (line,) = seen({"web": make_snapshot(desired=BESIDE)}, BEGUN, reader=Reader("other"))["rollouts"]
    assert (line["run"], line["reason"], line["verdict"]) == (None, None, "going on")
    (line,) = seen({"web": make_snapshot(desired=BESIDE)}, BEGUN, reader=Reader("shop_rollout"))["rollouts"]
    assert (line["run"]["dag_id"], line["reason"]) == ("shop_rollout", None)


def test_of_rollouts_that_have_ended_those_of_the_last_dag_run_are_shown():
    """Beside those that go on."""
    done = make_snapshot(*THERE)
    web = replace(DB, tiers={"web": make_assignment(7)}, at="2026-11-22T07:00:00.000Z", by=make_writer(run_id="old"))

    def tiers(web_is, *entries):
        return [each["tiers"] for each in seen({"web": web_is, "db": done}, *entries)["rollouts"]]

    assert tiers(done, web, DB) == [["db"]]
    assert tiers(make_snapshot(), web, DB) == [["web"], ["db"]]
    assert tiers(done, replace(web, by=DB.by), DB) == [["db", "web"]]  # they came to the same end


def test_a_rollout_that_was_rolled_back_says_what_it_was_to_bring():
    """And what its nodes have now; its tier comes before those that are well."""
    back = replace(BEGUN, act=JournalAct.ROLLED_BACK, tiers={"web": make_assignment(7)}, wave=None)
    found = seen({"app": make_snapshot(*THERE), "web": make_snapshot(*THERE)}, BEGUN, back)
    (line,) = found["rollouts"]
    assert (line["content"], line["verdict"]) == ("converged 2.6.0", "rolled back, now converged 2.5.0")
    assert found["order"] == ["web", "app"]


@pytest.mark.parametrize(
    ("act", "verdict", "wait"),
    [
        (JournalAct.GATE_FAILED, "its gate failed", "clear the gate's task to ask again, or promote or abort"),
        (JournalAct.REJECTED, "rejected", "promote or abort; until then its nodes keep what they have"),
    ],
)
def test_a_rollout_that_was_stopped_does_not_look_as_if_it_waited(act, verdict, wait):
    """Its wave is there, but nothing lets the next one begin: a person is needed, and the line says for what."""
    stop = JournalEntry(AT, make_writer(task_id="web.stop"), act, {}, JournalWave("2", 2, 3), "0.04", ("web",))
    found = seen({"web": make_snapshot(make_report("web-1", generation=8), desired=BESIDE)}, BEGUN, stop)
    (line,) = found["rollouts"]
    assert (line["wave"], line["verdict"], line["reason"]) == ("wave 2 of 3 (2)", verdict, "0.04")
    assert (line["wait"], line["said_by"]["task_id"], line["needs_person"]) == (wait, "web.stop", True)
    assert found["tiers"]["web"]["attention"] == "stopped before its next wave"


@pytest.mark.parametrize("nodes", [[], [make_report("web-1", generation=8)]], ids=["going on", "in place"])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_rollout_that_its_dag_run_has_left_is_orphaned(nodes, is_frozen):
    """Whether its wave is in place or not: nothing moves by itself, and the line says what can be done."""
    orphans = {"web": RunEnd(DagRun.of(BESIDE.written_by), RunFate.FAILED, NOW - timedelta(hours=3))}
    freeze = Freeze({"*": make_freeze_entry(make_writer(dag_id=BOARD), "party", None, now=NOW)}) if is_frozen else None
    found = seen({"web": make_snapshot(*nodes, desired=BESIDE)}, BEGUN, orphans=orphans, freeze=freeze)
    (line,) = found["rollouts"]
    assert (line["status"], line["verdict"]) == ("orphaned", "orphaned")
    assert (line["needs_person"], line["has_ended"]) == (True, False)
    assert line["since"] == write_moment(NOW - timedelta(hours=3))
    assert line["wait"] == (
        "its Dag run failed 3 hours ago and left its canary out; "
        "nothing moves by itself: promote or abort it, or clear the task that failed"
    )
    assert found["tiers"]["web"]["attention"] == "orphaned in the middle of a rollout"


def test_a_rollout_that_was_stopped_keeps_its_own_words_when_its_dag_run_has_ended():
    """They say more."""
    orphans = {"web": RunEnd(DagRun.of(BESIDE.written_by), RunFate.FAILED, NOW)}
    stop = JournalEntry(AT, make_writer(), JournalAct.REJECTED, {}, JournalWave("2", 2, 3), "0.04", ("web",))
    snapshot = make_snapshot(make_report("web-1", generation=8), desired=BESIDE)
    (line,) = seen({"web": snapshot}, BEGUN, stop, orphans=orphans)["rollouts"]
    assert line["verdict"] == "rejected"


def test_a_rollback_that_has_not_arrived_has_not_ended():
    """It names the nodes that are not back, and those that failed on the way."""
    back = replace(BEGUN, act=JournalAct.ROLLED_BACK, tiers={"web": make_assignment(7)}, wave=None)
    (line,) = seen({"web": make_snapshot(*THERE[:2])}, BEGUN, back)["rollouts"]
    assert (line["verdict"], line["wait"]) == ("going back to converged 2.5.0", "waits for 1 of 3 nodes (web-3)")
    assert not line["has_ended"]
    found = seen({"web": make_snapshot(THERE[0], make_failure("web-3"))}, BEGUN, back)
    (line,) = found["rollouts"]
    assert line["verdict"] == "the rollback to converged 2.5.0 failed"
    assert line["wait"] == "waits for 2 of 3 nodes (web-3 failed, web-2): fix them, then run chef-client on them"
    assert found["tiers"]["web"]["attention"] == "nodes failed"


def test_tiers_that_need_a_person_come_first():
    """Then those that do not serve any more, those in a rollout, and all others."""
    served = JournalEntry(AT, make_writer(run_id="manual__0"), JournalAct.CONVERGED, {"off": make_assignment(6)})
    off = make_desired(7, stable=make_assignment(7, state="off"))
    found = seen(
        {
            "app": make_snapshot(*THERE),
            "db": make_snapshot(),
            "off": make_snapshot(*(replace(each, state="off") for each in THERE), desired=off),
            "web": make_snapshot(make_failure("web-2")),
        },
        served,
        DB,
    )
    assert found["order"] == ["web", "off", "db", "app"]
    assert found["tiers"]["web"]["attention"] == "nodes failed"
    assert found["tiers"]["off"]["left"] == "converged 2.5.0"


def test_a_card_leads_with_what_the_tier_is():
    """And what it was, and since when."""
    lead = seen({"web": make_snapshot(desired=BESIDE)})["tiers"]["web"]
    assert (lead["content"], lead["before"], lead["since"]) == (
        "converged 2.5.0", "off 2.5.0", "2026-11-22T08:00:00Z",
    )  # fmt: skip
    unknown = seen({"web": make_snapshot(desired=None)})["tiers"]["web"]
    assert (unknown["content"], unknown["attention"]) == (None, "cannot be used")


def test_a_freeze_in_the_middle_of_a_rollout_needs_a_person():
    """Of the tier, or of all; one that has ended freezes nothing."""
    there = make_report("web-1", generation=8)
    for name in ("web", "*"):
        freeze = Freeze({name: make_freeze_entry(make_writer(), "party", None, now=NOW)})
        found = seen({"web": make_snapshot(there, desired=BESIDE)}, BEGUN, freeze=freeze)
        assert found["tiers"]["web"]["attention"] == "frozen in the middle of a rollout"
        assert found["rollouts"][0]["wait"] == "waits for the end of the freeze"
    over = Freeze({"web": replace(freeze.entries["*"], until=AT)})
    assert not seen({"web": make_snapshot(there, desired=BESIDE)}, BEGUN, freeze=over)["tiers"]["web"]["is_frozen"]


BY_HAND = make_writer(dag_id=BOARD)


@pytest.mark.parametrize(
    ("desired", "reader", "acts"),
    [
        (BESIDE, Reader(), []),
        (BESIDE, Reader(may_trigger=True), ["promote", "abort"]),
        (BESIDE, Reader("other", may_trigger=True, may_edit=True), []),
        (make_desired(), Reader(may_trigger=True), ["roll_back"]),
        (make_desired(written_by=BY_HAND), Reader(may_trigger=True), []),
        (make_desired(written_by=BY_HAND), Reader(may_edit=True), ["roll_back"]),
        (None, Reader(may_trigger=True, may_edit=True), []),
    ],
)
def test_what_the_viewer_may_do_has_a_button(desired, reader, acts):
    """Whoever may trigger the Dag that wrote a tier; after a person wrote it, whoever may edit the connection."""
    found = seen({"web": make_snapshot(desired=desired)}, reader=reader)
    assert (found["tiers"]["web"]["acts"], found["may_edit"]) == (acts, reader.may_edit)


def test_the_owner_of_a_canary_is_whoever_began_it():
    """Not whoever widened it."""
    began = make_writer(dag_id="began")
    history = {8: replace(BESIDE, written_by=began)}
    assert owners_of({"web": next_state("demo", "web", make_snapshot(desired=BESIDE), history)}) == {"web": began}
