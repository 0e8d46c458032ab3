"""The journal's documents, and which generations they show to be good."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.explanation.journal import describe_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave, find_good
from airflow_provider_chefconsul.exceptions import MalformedDocument, UnknownSchema
from tests.support.factory import make_assignment, make_writer

AT = "2026-11-22T08:00:00.000Z"
CONVERGED = JournalEntry(AT, make_writer(), JournalAct.CONVERGED, {"web": make_assignment(7, id="a")})
ENTRIES = {
    "assignments": CONVERGED,
    "wave of a rollout": replace(CONVERGED, act=JournalAct.WIDENED, wave=JournalWave("25%", 2, 3)),
    "canary alone": replace(CONVERGED, act=JournalAct.DECLARED, wave=JournalWave("1")),
    "tiers without assignments": JournalEntry(AT, make_writer(), JournalAct.FROZEN, reason="evening", scope=("web",)),
    "environment": JournalEntry(AT, make_writer(transition=2), JournalAct.LEASE_BROKEN, reason="its worker burned"),
    "gate": JournalEntry(
        AT, make_writer(), JournalAct.GATE_FAILED, wave=JournalWave("25%", 2, 3), reason="0.04", scope=("web",)
    ),
    "node": JournalEntry(AT, make_writer(), JournalAct.SLOT_FREED, reason="it died", scope=("web",), node="web-4"),
    "act of a later version": replace(CONVERGED, act="paused"),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_what_is_written_is_read(entry):
    """In the form that DESIGN fixes."""
    fields = json.loads(entry.to_json())
    assert {"schema", "at", "by", "act", "tiers", "wave", "reason"} <= fields.keys()
    assert JournalEntry.from_json("k", entry.to_json()) == entry


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        ({"schema": 2}, UnknownSchema, "schema 2 is unknown"),
        ({"act": 1}, MalformedDocument, "field act must be a string"),
        ({"tiers": []}, MalformedDocument, "field tiers must be an object"),
        ({"wave": {"size": 1}}, MalformedDocument, "field wave.size must be a string"),
        ({"scope": [1]}, MalformedDocument, "field scope must list tiers"),
        ({"node": 1}, MalformedDocument, "field node must be a string"),
    ],
)
def test_other_documents_are_refused(change, error, problem):
    """The error names the key and the field."""
    with pytest.raises(error, match=f"k: {problem}"):
        JournalEntry.from_json("k", json.dumps(json.loads(CONVERGED.to_json()) | change))


def test_long_reason_is_cut():
    """An entry stays small."""
    assert len(json.loads(replace(CONVERGED, reason="x" * 900).to_json())["reason"]) == 500


@pytest.mark.parametrize(
    ("entry", "good"),
    [
        (CONVERGED, {(7, "a")}),
        (replace(CONVERGED, wave=JournalWave("25%", 2, 3)), set()),
        (replace(CONVERGED, act=JournalAct.FAILED), set()),
        (replace(CONVERGED, act=JournalAct.PROMOTED), set()),
        (replace(CONVERGED, tiers={"app": make_assignment(7)}), set()),
    ],
    ids=["converged", "part of the tier", "failed", "no verdict", "another tier"],
)
def test_good_is_what_a_whole_tier_converged_on(entry, good):
    """A canary's nodes that converged do not make a generation good."""
    assert find_good([entry], "web").keys() == good


def test_what_failed_since_is_not_good():
    """Until it has converged again; good since when is the first time of the last stretch."""
    failed = replace(CONVERGED, act=JournalAct.FAILED)
    again = replace(CONVERGED, at="2026-11-22T09:00:00.000Z")
    assert find_good([CONVERGED, again], "web") == {(7, "a"): AT}
    assert find_good([CONVERGED, failed], "web") == {}
    assert find_good([CONVERGED, failed, again], "web") == {(7, "a"): again.at}
    assert find_good([CONVERGED, replace(failed, wave=JournalWave("nodes web-1"))], "web") == {(7, "a"): AT}


def test_what_a_verdict_is_about_is_known_by_its_digest():
    """Whoever gives it, and whatever it is; another generation, or id, or part is another."""
    again = replace(CONVERGED, at="2026-11-22T09:00:00.000Z", by=make_writer(task_id="other"), reason="why")
    assert again.digest == CONVERGED.digest
    assert replace(CONVERGED, act=JournalAct.FAILED).digest == CONVERGED.digest
    others = [
        replace(CONVERGED, wave=JournalWave("1")),
        replace(CONVERGED, tiers={"web": make_assignment(8, id="a")}),
        replace(CONVERGED, tiers={"web": make_assignment(7, id="b")}),
        replace(CONVERGED, tiers={"app": make_assignment(7, id="a")}),
    ]
    assert len({each.digest for each in [CONVERGED, *others]}) == 5


@pytest.mark.parametrize(
    ("entry", "concerned"),
    [("assignments", True), ("tiers without assignments", True), ("environment", True), ("node", True)],
)
def test_what_an_entry_concerns(entry, concerned):
    """Its own tiers, or all when it is about the environment."""
    assert ENTRIES[entry].concerns("web") is concerned
    assert ENTRIES[entry].concerns("app") is (entry == "environment")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "wave of a rollout",
            "web: widened generation 7, state converged, release=2.5.0, wave 2 of 3 (25%), by Dag shop_rollout, run",
        ),
        (
            "canary alone",
            "web: declared generation 7, state converged, release=2.5.0, canary of 1, by Dag shop_rollout",
        ),
        ("tiers without assignments", "frozen web, by Dag shop_rollout, run manual__1, task web.set: evening"),
        ("environment", "broke the lease of the environment, by Dag shop_rollout, run manual__1, task web.set, step 2"),
        ("act of a later version", "web: paused generation 7"),
        ("node", "freed the slot of web-4 in web, by Dag shop_rollout, run manual__1, task web.set: it died"),
        ("gate", "gate failed for web, wave 2 of 3 (25%), by Dag shop_rollout, run manual__1, task web.set: 0.04"),
    ],
)
def test_entry_in_words(entry, line):
    """Which tiers, what happened, who and why."""
    assert describe_entry(ENTRIES[entry]).startswith(line)
