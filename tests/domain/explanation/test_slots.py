"""Tickets in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.domain.explanation.slots import explain_tickets
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from tests.support.factory import make_members, make_ticket, make_unreadable

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
