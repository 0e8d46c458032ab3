"""Tickets in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.domain.explanation import slots
from airflow_provider_chefconsul.domain.explanation.slots import (
    PaceExplanation,
    explain_pace,
    explain_ticket,
    explain_tickets,
)
from airflow_provider_chefconsul.domain.model.pace import NO_LIMIT, AssignmentPace
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from tests.support.factory import make_assignment, make_canary, make_desired, make_members, make_ticket, make_unreadable

NOW = datetime(2026, 11, 22, 8, 14, 2, tzinfo=UTC)
HELD = {"held_since": "2026-11-22T08:00:02Z"}


@pytest.mark.parametrize(
    ("node", "ticket", "text"),
    [
        ("web-1", make_ticket(**HELD), "web-1 holds a slot for 14 minutes"),
        ("web-1", make_ticket(**HELD, group="r1"), "web-1 holds a slot of r1 for 14 minutes"),
        ("web-2", make_ticket("web-2", **HELD), "web-2 holds a slot for 14 minutes; its agent is not alive"),
        ("web-3", make_ticket("web-3", **HELD), "web-3 holds a slot for 14 minutes; it is no member"),
        ("web-1", make_ticket(**HELD, is_failed=True),
         "web-1 keeps a slot for 14 minutes: its run failed, so it is the first to run again"),
        ("web-1", make_ticket(), "web-1 waits for a slot for 14 minutes"),
        ("web-1", make_ticket(since="?"), "web-1 waits for a slot"),
        ("web-1", make_unreadable(),
         "web-1 has a ticket that cannot be read, which counts as a slot in use: k: not JSON"),
    ],
)  # fmt: skip
def test_each_ticket_in_words(node, ticket, text):
    """What the node does, for how long, and whether it is alive."""
    (explained,) = explain_tickets([QueuedTicket(node, ticket, 1, 1)], make_members("web-1", absent=["web-2"]), now=NOW)
    assert str(explained) == text


def test_holders_come_first():
    """Then the line, in its order."""
    queue = [QueuedTicket(f"web-{n}", make_ticket(f"web-{n}", **(HELD if n == 3 else {})), 9 - n, 1) for n in range(4)]
    assert [each.node for each in explain_tickets(queue, {}, now=NOW)] == ["web-3", "web-2", "web-1", "web-0"]


def explain(pace, tickets, members=None, *, canary=None):
    """A pace in words, of all nodes or beside a canary's."""
    out = make_canary(assignment=make_assignment(8, pace=canary)) if canary is not None else None
    desired = make_desired(8 if out else 7, stable=make_assignment(7, pace=pace), canary=out)
    return explain_pace(desired, tickets, make_members(*tickets) if members is None else members, now=NOW)


def inside(*nodes, **overrides):
    """Tickets of nodes that hold a slot."""
    return {node: make_ticket(node, **HELD | overrides) for node in nodes}


def waiting(*nodes, **overrides):
    """Tickets of nodes that wait."""
    return {node: make_ticket(node, **overrides) for node in nodes}


@pytest.mark.parametrize(
    ("pace", "tickets", "line"),
    [
        (AssignmentPace(2), {}, "2 at a time"),
        (AssignmentPace(2, "meta:rack"), {}, "2 at a time for each meta:rack"),
        (AssignmentPace(spread_over=600), {}, "spread over 10 minutes"),
        (AssignmentPace(spread_over=600), inside("web-1"), "spread over 10 minutes"),
        (AssignmentPace(2, spread_over=90), inside("web-1"), "2 at a time, spread over 90 seconds; in: web-1"),
        (AssignmentPace(2), inside("web-10", "web-9") | waiting("web-1"), "2 at a time; in: web-9, web-10; 1 waits"),
        (AssignmentPace(1), waiting("web-1", "web-2"), "1 at a time; 2 wait"),
        (AssignmentPace(1), {"web-1": make_unreadable()}, "1 at a time; in: web-1"),
        (AssignmentPace(9), inside(*(f"web-{n}" for n in range(1, 8))),
         "9 at a time; in: web-1, web-2, web-3, web-4, web-5, … and 2 more"),
        (AssignmentPace(1), inside("a\nb\u202e"), "1 at a time; in: a b\\u202e"),
    ],
)  # fmt: skip
def test_pace_in_one_line(pace, tickets, line):
    """The limit, who is inside, and how many wait."""
    explained = explain(pace, tickets)
    assert explained is not None
    assert explained.lines == (line,)


FAILED = inside("web-2", is_failed=True)
EACH = inside("web-1") | waiting("web-2") | inside("web-3", "web-4", generation=8) | waiting("web-5", generation=8)


@pytest.mark.parametrize(
    ("stable", "canary", "tickets", "lines"),
    [
        (AssignmentPace(1), NO_LIMIT, FAILED | waiting("web-3"), ["stable: 1 at a time; in: web-2; 1 waits"]),
        (NO_LIMIT, AssignmentPace(1), inside("web-1", generation=8), ["canary: 1 at a time; in: web-1"]),
        (AssignmentPace(1), AssignmentPace(2), EACH,
         ["stable: 1 at a time; in: web-1; 1 waits", "canary: 2 at a time; in: web-3, web-4; 1 waits"]),
        (AssignmentPace(1), AssignmentPace(spread_over=90), EACH,
         ["stable: 1 at a time; in: web-1, web-3, web-4; 2 wait", "canary: spread over 90 seconds"]),
        (AssignmentPace(1), AssignmentPace(2), {"web-1": make_unreadable()} | inside("web-2", generation=6),
         ["stable: 1 at a time; in: web-1, web-2", "canary: 2 at a time; in: web-1, web-2"]),
    ],
    ids=["stable alone", "canary alone", "each its own", "those without slots", "unreadable, or of no assignment"],
)  # fmt: skip
def test_each_pace_beside_a_canary(stable, canary, tickets, lines):
    """With the tickets of its nodes, and those that hold everybody up."""
    explained = explain(stable, tickets, canary=canary)
    assert explained is not None
    assert list(explained.lines) == lines


def test_a_few_holders_are_worded(monkeypatch):
    """However many do not converge, each ticket once; the rest are counted."""
    worded = []
    monkeypatch.setattr(
        slots, "explain_ticket", lambda *args, **now: worded.append(args) or explain_ticket(*args, **now)
    )
    failed = inside(*(f"web-{number}" for number in range(9)), generation=6, is_failed=True)
    explained = explain(AssignmentPace(2), failed, canary=AssignmentPace(1))
    assert explained is not None
    assert [line[:5] for line in explained.stuck] == ["web-0", "web-1", "web-2", "web-3", "… and"]
    assert explained.stuck[-1] == "… and 5 more such holders of slots"
    assert len(worded) == 4


@pytest.mark.parametrize(
    ("tickets", "stuck"),
    [
        (inside("web-1") | waiting("web-2", "web-3"), []),  # the one that died waits, which holds nobody up
        (inside("web-2"), ["web-2 holds a slot for 14 minutes; its agent is not alive"]),
        (inside("web-3", "db-1"), ["db-1 holds a slot for 14 minutes; it is no member"]),
        (inside("web-1", is_failed=True),
         ["web-1 keeps a slot for 14 minutes: its run failed, so it is the first to run again"]),
        ({"<b>": make_unreadable()},
         ["<b> has a ticket that cannot be read, which counts as a slot in use: k: not JSON"]),
    ],
)  # fmt: skip
def test_holders_that_do_not_converge_are_named(tickets, stuck):
    """In the words of the tickets; live ones are not, nor those that wait."""
    members = make_members("web-1", "web-3", absent=["web-2"])
    explained = explain(AssignmentPace(2), tickets, members)
    assert explained is not None
    assert list(explained.stuck) == stuck


def test_nothing_is_said_of_no_pace():
    """Whatever tickets are left."""
    assert explain(NO_LIMIT, inside("web-1")) is None
    assert explain(NO_LIMIT, inside("web-1"), canary=NO_LIMIT) is None
    assert explain(AssignmentPace(spread_over=60), FAILED) == PaceExplanation(("spread over 1 minute",))
