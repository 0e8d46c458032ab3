"""The line for slots: the contract's cases, and that whatever happens there are never more holders than slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.slots import (
    Behind,
    Enter,
    LastChange,
    QueuedTicket,
    expiry_of,
    find_expired,
    find_turn,
    note_changes,
)
from tests.domain.test_contract import load
from tests.support.examples import examples
from tests.support.factory import make_ticket, make_unreadable

NODES = [f"web-{number}" for number in range(1, 7)]


def make_queued(node: str = "web-1", index: int = 10, **overrides: Any) -> QueuedTicket:
    """A ticket in Consul, last written at its creation."""
    fields: dict[str, Any] = {"ticket": make_ticket(node), "create_index": index, "modify_index": index}
    return QueuedTicket(node, **fields | overrides)


def read_queued(fields: dict[str, Any]) -> QueuedTicket:
    """A ticket of the contract; a group of null stands for a ticket that cannot be read."""
    node, since = fields["node"], "2026-11-22T08:00:02Z" if fields["held"] else None
    unreadable = make_unreadable() if fields["group"] is None else None
    ticket = unreadable or make_ticket(node, group=fields["group"], held_since=since)
    return make_queued(node, fields["create_index"], ticket=ticket)


@pytest.mark.parametrize("case", load("slots.json"), ids=lambda case: case["name"])
def test_contract(case):
    """The decisions that both languages make alike."""
    queue = [read_queued(each) for each in case["tickets"]]
    group = next(each["group"] for each in case["tickets"] if each["node"] == case["own"])
    match find_turn(case["own"], group, case["limit"], queue):
        case Enter():
            assert case["expect"] == {"enter": True}
        case Behind(watch):
            assert case["expect"] == {"watch": watch or "prefix"}
        case None:
            raise AssertionError("the own ticket is in the list")


def test_without_a_ticket():
    """There is no turn to wait for."""
    assert find_turn("web-1", "", 1, [make_queued("web-2")]) is None


def test_without_a_limit():
    """A limit that vanished lets everybody in."""
    assert find_turn("web-2", "", None, [make_queued("web-1"), make_queued("web-2", 11)]) == Enter()


def test_behind_whom():
    """At most five holders are named, and how many are before it."""
    held = [make_queued(f"h-{n}", n, ticket=make_ticket(f"h-{n}", held_since="x")) for n in range(7)]
    waiting = [make_queued(f"w-{n}", 10 + n, ticket=make_ticket(f"w-{n}")) for n in range(3)]
    assert find_turn("w-2", "", 7, [*waiting, *held]) == Behind("w-1", 9, ("h-0", "h-1", "h-2", "h-3", "h-4"))


class Line:
    """A tier's tickets in memory, and nodes that look at them and enter some time later."""

    def __init__(self) -> None:
        self.queue: dict[str, QueuedTicket] = {}
        self.may_enter: set[str] = set()
        self.index = 0

    def take(self, node: str) -> None:
        """Queue, unless the node has a ticket."""
        self.index += 1
        self.queue.setdefault(node, make_queued(node, self.index, ticket=make_ticket(node)))

    def look(self, node: str, limit: int) -> None:
        """Decide on what is there now."""
        if isinstance(find_turn(node, "", limit, self.queue.values()), Enter):
            self.may_enter.add(node)

    def enter(self, node: str) -> None:
        """Carry out what was decided, by now on an old view."""
        if node in self.may_enter and node in self.queue:
            queued = self.queue[node]
            self.queue[node] = replace(queued, ticket=make_ticket(node, held_since="now"))

    def leave(self, node: str) -> None:
        """Give the ticket back, or lose it."""
        self.queue.pop(node, None)
        self.may_enter.discard(node)

    def play(self, history: Iterable[tuple[str, str]], limit: int) -> Iterator[None]:
        """Let the nodes act, one after the other."""
        for act, node in history:
            if act == "look":
                self.look(node, limit)
            else:
                getattr(self, act)(node)
            yield

    @property
    def holders(self) -> list[str]:
        """Who holds a slot."""
        return [node for node, queued in self.queue.items() if queued.is_held]


acts = st.lists(st.tuples(st.sampled_from(["take", "look", "enter", "leave"]), st.sampled_from(NODES)), max_size=60)


@given(acts, st.integers(1, 4))
@settings(max_examples=examples(3))
def test_never_more_holders_than_slots(history, limit):
    """However old the view is on which a node enters."""
    line = Line()
    for _ in line.play(history, limit):
        assert len(line.holders) <= limit


@given(acts, st.integers(1, 4))
@settings(max_examples=examples())
def test_first_come_first_served(history, limit):
    """Whoever may enter, so may everybody who came before; and somebody may, while a slot is free."""
    line = Line()
    for _ in line.play(history, limit):
        waiting = [queued for queued in line.queue.values() if not queued.is_held]
        turns = [
            isinstance(find_turn(each.node, "", limit, line.queue.values()), Enter)
            for each in sorted(waiting, key=lambda queued: queued.create_index)
        ]
        assert turns == sorted(turns, reverse=True)
        assert sum(turns) == min(limit - len(line.holders), len(waiting))


@given(acts, st.integers(1, 4))
@settings(max_examples=examples())
def test_whom_a_node_watches_lets_it_go_on(history, limit):
    """Watches form chains that end at a node that may enter, or that wakes with every change: nobody is forgotten."""
    line = Line()
    for _ in line.play(history, limit):
        pass
    for node in line.queue:
        followed = [node]
        while isinstance(turn := find_turn(followed[-1], "", limit, line.queue.values()), Behind) and turn.watch:
            assert turn.watch not in followed
            followed.append(turn.watch)


def test_expiry_is_by_the_observers_clock():
    """A ticket's time begins when its content was first seen, and again with each renewal."""
    queued = make_queued(ticket=make_ticket(ttl=120))
    seen = note_changes({}, [queued], now=1000.0)
    assert seen == {"web-1": LastChange(10, 1000.0)}
    seen = note_changes(seen, [queued], now=1100.0)
    assert find_expired([queued], seen, now=1120.0) == []
    assert find_expired([queued], seen, now=1120.1) == [queued]
    renewed = replace(queued, modify_index=20)
    seen = note_changes(seen, [renewed], now=1121.0)
    assert find_expired([renewed], seen, now=1121.0) == []
    assert expiry_of(renewed, seen) == 1241.0
    assert note_changes(seen, [], now=1122.0) == {}


def test_own_ticket_that_cannot_be_read_lets_nobody_in():
    """It counts against the others; its own node queues again."""
    spoilt, other = make_queued("web-1", 10, ticket=make_unreadable()), make_queued("web-2", 11)
    assert find_turn("web-1", "", 5, [spoilt, other]) is None
    assert find_turn("web-2", "", 1, [spoilt, other]) == Behind(None, 1, ("web-1",))


@pytest.mark.parametrize("ticket", [make_ticket(is_failed=True, held_since="x"), make_unreadable()])
def test_what_never_expires(ticket):
    """A failed run keeps its slot, and nobody knows what an unreadable ticket promises."""
    queued = make_queued(ticket=ticket)
    assert find_expired([queued], note_changes({}, [queued], now=0.0), now=1e9) == []


def test_unseen_tickets_do_not_expire():
    """Not even when another content was seen for long."""
    assert expiry_of(make_queued(modify_index=11), {"web-1": LastChange(10, 0.0)}) is None
    assert expiry_of(make_queued(), {}) is None
