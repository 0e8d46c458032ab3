"""The JSON of a tier's pace."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.ui.pace import describe_pace
from airflow_provider_chefconsul.ui.tier_state import next_state
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_report,
    make_snapshot,
    make_ticket,
)

TWO, ONE = make_assignment(7, pace=AssignmentPace(2)), make_assignment(8, pace=AssignmentPace(1))
LATER = NOW + timedelta(minutes=14)
HELD = {"held_since": "2026-11-22T08:00:00Z"}
ALL = [make_report(f"web-{number}") for number in (1, 2, 3)]


def pace_of(*reports, desired=None, tickets=None, **overrides):
    """The pace as the page gets it."""
    desired = make_desired(7, stable=TWO) if desired is None else desired
    snapshot = make_snapshot(*reports, desired=desired, tickets=tickets or {}, **overrides)
    return json.loads(json.dumps(describe_pace(next_state("demo", "web", snapshot, {}), now=LATER)))


def test_who_is_inside_and_who_holds_the_others_up():
    """One that converges is not explained."""
    tickets = {
        "web-1": make_ticket("web-1", **HELD),
        "web-2": make_ticket("web-2", is_failed=True, **HELD),
        "web-3": make_ticket("web-3"),
    }
    assert pace_of(tickets=tickets) == {
        "lines": ["2 at a time; in: web-1, web-2; 1 waits"],
        "stuck": ["web-2 keeps a slot for 14 minutes: its run failed, so it is the first to run again"],
    }


def test_each_pace_beside_a_canary():
    """With the tickets of its nodes; one who holds up the others of the stable assignment is named."""
    tickets = {
        "web-1": make_ticket("web-1", generation=8, **HELD),
        "web-2": make_ticket("web-2", is_failed=True, **HELD),
        "web-3": make_ticket("web-3"),
    }
    pace = pace_of(desired=make_desired(8, stable=TWO, canary=make_canary(8, assignment=ONE)), tickets=tickets)
    assert pace["lines"] == ["stable: 2 at a time; in: web-2; 1 waits", "canary: 1 at a time; in: web-1"]
    assert [line[:11] for line in pace["stuck"]] == ["web-2 keeps"]


@pytest.mark.parametrize(
    ("desired", "reports"),
    [(None, ALL), (make_desired(7), []), (Unreadable("k", "spoilt"), [])],
    ids=["all have converged", "no limit", "unreadable"],
)
def test_otherwise_nothing_is_said(desired, reports):
    """Whatever tickets are left."""
    assert pace_of(*reports, desired=desired, tickets={"web-1": make_ticket(**HELD)}) is None


def test_a_few_holders_are_explained():
    """So that the document stays small."""
    names = [f"web-{number}" for number in range(9)]
    pace = pace_of(tickets={name: make_ticket(name, **HELD) for name in names}, members=(), absent=names)
    assert len(pace["stuck"]) == 5
    assert pace["stuck"][0] == "web-0 holds a slot for 14 minutes; its agent is not alive"
    assert pace["stuck"][-1] == "… and 5 more such holders of slots"


def test_what_a_spoilt_ticket_holds_is_not_told():
    """It may name a Dag that the viewer may not read."""
    (line,) = pace_of(tickets={"web-1": Unreadable("k", "not JSON", value="secret")})["stuck"]
    assert line.endswith("k: not JSON")
    assert "secret" in str(Unreadable("k", "not JSON", value="secret"))
