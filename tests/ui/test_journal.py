"""The JSON of the journal and of what is frozen, and who may see which names."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.consul.journal_watch import JournalState
from airflow_provider_chefconsul.domain.model.freeze import Freeze, make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.model.writer import COMMAND_LINE, Writer
from airflow_provider_chefconsul.ui.journal import dag_ids_of_journal, describe_journal
from tests.support.factory import NOW, make_assignment, make_lease, make_writer

WIDENED = JournalEntry(
    "2026-11-22T08:00:00.000Z", make_writer(), JournalAct.WIDENED, {"web": make_assignment(7)}, JournalWave("25%", 2, 3)
)
BROKEN = JournalEntry(
    "2026-11-22T08:01:00.000Z",
    Writer(COMMAND_LINE, "ada@vm 2026-11-22T08:01:00.000Z", "lease break"),
    JournalAct.LEASE_BROKEN,
    reason=f"it was {make_lease().describe()}; its worker burned",
)
FROZEN = Freeze(
    {"*": make_freeze_entry(make_writer(dag_id="operate", run_id="manual__2"), "release party", None, now=NOW)}
)


def told(state, *dag_ids):
    """What a viewer sees who may read these Dags."""
    return json.loads(json.dumps(describe_journal(state, lambda dag_id: dag_id in dag_ids)))


def test_the_newest_entry_comes_first():
    """With what was done, the wave, who did it and why."""
    first, second = told(JournalState(Freeze(), (WIDENED, BROKEN)), "shop_rollout", COMMAND_LINE)["entries"]
    assert (first["act"], first["what"]) == ("lease_broken", ["broke the lease of the environment"])
    assert first["by"]["person"] == "airflow chefconsul lease break, ada@vm 2026-11-22T08:01:00.000Z"
    assert first["reason"].endswith("upgrade to 2.5.0; its worker burned")
    assert second["what"] == ["web: widened generation 7, state converged, release=2.5.0"]
    assert (second["wave"], second["by"]["run_id"], second["by"]["person"]) == ("wave 2 of 3 (25%)", "manual__1", None)


def test_fifty_entries_are_shown():
    """The newest; what rollouts there are rests on all."""
    entries = tuple(replace(WIDENED, reason=str(number)) for number in range(60))
    shown = told(JournalState(Freeze(), entries), "shop_rollout")["entries"]
    assert [each["reason"] for each in shown] == [str(number) for number in range(59, 9, -1)]


@pytest.mark.parametrize("dag_ids", [(), (COMMAND_LINE,), ("operate",)])
def test_names_of_dags_are_withheld(dag_ids):
    """Of those who act, and of those that a reason names; what was done is told to everybody."""
    state = JournalState(FROZEN, (WIDENED, BROKEN))
    assert "shop_rollout" not in json.dumps(told(state, *dag_ids))
    assert "manual__1" not in json.dumps(told(state, *dag_ids))
    assert [each["act"] for each in told(state, *dag_ids)["entries"]] == ["lease_broken", "widened"]


def test_who_froze_what_and_why_is_told():
    """To those who may read the Dag; that it is frozen, to all."""
    (entry,) = told(JournalState(FROZEN, ()), "operate")["freeze"]["entries"]
    assert (entry["tier"], entry["reason"], entry["until"]) == ("*", "release party", None)
    (entry,) = told(JournalState(FROZEN, ()))["freeze"]["entries"]
    assert (entry["tier"], entry["by"], entry["reason"]) == ("*", None, None)


def test_a_freeze_that_cannot_be_read_is_a_problem():
    """It stops everybody; what stands there is left out."""
    freeze = told(JournalState(Unreadable("demo/_freeze", "is no freeze", value="secret"), ()))["freeze"]
    assert "nobody may write: demo/_freeze: is no freeze" in freeze["problem"]
    assert "secret" not in freeze["problem"]


def test_all_dags_that_are_named_are_known():
    """So that the viewer's permission is asked for each."""
    despite = replace(WIDENED, by=make_writer(dag_id="other"), reason="frozen by Dag evening, run x, task y since …")
    assert dag_ids_of_journal(JournalState(FROZEN, (BROKEN, despite))) == {
        COMMAND_LINE, "shop_rollout", "other", "evening", "operate",
    }  # fmt: skip
    assert dag_ids_of_journal(JournalState(Unreadable("demo/_freeze", "spoilt"), ())) == set()
