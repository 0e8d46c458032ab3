"""Whether what a tier is assigned is good."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_chefconsul.domain.model.journal import JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.good import Good, NotGood, judge_good
from tests.support.factory import NOW, make_assignment, make_canary, make_desired, make_writer

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "promote-between-environments.md").read_text()
HOUR = timedelta(hours=1)
STANDS = make_assignment(7, id="a1")
DESIRED = make_desired(7, stable=STANDS)


def tell(at="2026-11-22T07:00:00.000Z", act="converged", assignment=STANDS, tier="web", **overrides):
    """An entry of the journal, an hour old."""
    return JournalEntry(at, make_writer(), act, {tier: assignment}, **overrides)


def judge(desired=DESIRED, journal=(), **overrides):
    """The judgement of tier web with min_age of an hour."""
    return judge_good(desired, journal, "web", **{"state": "converged", "min_age": HOUR, "now": NOW} | overrides)


def test_good():
    """Since a wait first found it so; others may find it again."""
    found = judge(journal=[tell(), tell("2026-11-22T07:50:00.000Z")])
    assert found == Good(STANDS, NOW - HOUR)
    assert judge(journal=[tell("2026-11-22T07:00:00.001Z")], min_age=HOUR - timedelta(seconds=1)) != found


@pytest.mark.parametrize(
    ("desired", "reason"),
    [
        (None, "it has no desired state"),
        (Unreadable("demo/web/desired", "not JSON"), "its desired state cannot be read: demo/web/desired: not JSON"),
        (make_desired(8, stable=STANDS, canary=make_canary(8)), "a canary is out: generation 8, state converged, "),
        (make_desired(7, stable=make_assignment(7, state="off")), "it is in state off, not converged"),
    ],
)
def test_what_stands_is_not_good(desired, reason):
    """Whatever the journal tells."""
    found = judge(desired, [tell()])
    assert isinstance(found, NotGood)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    "entry",
    [
        tell(act="failed"),
        tell(act="declared"),
        tell(wave=JournalWave("25%", 1, 3)),
        tell(tier="app"),
        tell(assignment=make_assignment(6, id="a1")),
        tell(assignment=make_assignment(7, id="of an earlier tier of that name")),
        tell("not a time"),
    ],
)
def test_journal_tells_something_else(entry):
    """Of another verdict, of a wave, of another tier, of another assignment."""
    found = judge(journal=[entry])
    assert isinstance(found, NotGood)
    assert found.reason.startswith("the journal does not tell that all of it converged on generation 7, ")


def test_too_young():
    """A moment before it is old enough, and then."""
    entries = [tell("2026-11-22T07:30:00.000Z")]
    assert isinstance(judge(journal=entries, min_age=timedelta(minutes=30)), Good)
    found = judge(journal=entries)
    assert isinstance(found, NotGood)
    assert found.reason.endswith(" only at 2026-11-22T07:30:00Z; min_age=1:00:00 is over at 2026-11-22T08:30:00Z")


def test_page_says_what_errors_say():
    """Word for word, in the order of its table."""
    canary = make_desired(8, stable=STANDS, canary=make_canary(8))
    off = make_desired(7, stable=make_assignment(7, state="off"))
    judged = [judge(None), judge(canary), judge(off), judge(), judge(journal=[tell("2026-11-22T07:30:00.000Z")])]
    said = re.findall(r"`staging/web: not good: (.*?)` \|", PAGE)
    assert said == [each.reason for each in judged]
