"""The line for a tier's slots: who may enter, whom the others watch, and whose time is over. Pure.

Consul's CreateIndex fixes a ticket's position. Those that wait enter in this order, as many as there are slots that
nobody holds; so there are never more holders than slots, whoever dies between looking and entering.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import DuplicateNode

_NAMED = 5  # holders that a report names


@dataclass(frozen=True, slots=True)
class QueuedTicket:
    """A ticket as Consul holds it.

    :param ticket: one that cannot be read counts as held, in every group: nobody knows what its node is doing.
    """

    node: str
    ticket: Ticket | Unreadable
    create_index: int
    modify_index: int

    @property
    def is_held(self) -> bool:
        """Whether its node holds a slot, or may."""
        return is_held(self.ticket)

    def is_in(self, group: str) -> bool:
        """Whether it takes part in the line of a group."""
        return isinstance(self.ticket, Unreadable) or self.ticket.group == group


def is_held(ticket: Ticket | Unreadable) -> bool:
    """Whether the node of a ticket holds a slot, or may."""
    return isinstance(ticket, Unreadable) or ticket.is_held


@dataclass(frozen=True, slots=True)
class Enter:
    """A slot is free for the node."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The node has to wait.

    :param watch: the nearest node ahead that waits, too; None when nobody does: any change may be its turn.
    :param ahead: how many tickets are ahead of its own.
    :param holders: those who hold the slots, at most five.
    """

    watch: str | None
    ahead: int
    holders: tuple[str, ...]


def queue_again(key: str, found: Ticket | Unreadable | None, new: Ticket) -> Ticket | None:
    """The ticket that a run writes under its node's key; None when what stands there has to be deleted first.

    What an earlier run of this machine left keeps its place and its slot, but not in another group, where nobody has
    counted it. One that nobody can read is replaced: it stands under this node's own name.

    :raises DuplicateNode: another machine of the same name wrote it.
    """
    if not isinstance(found, Ticket):
        return new
    if found.is_of_other_machine(new.node_id):
        raise DuplicateNode(
            f"a machine of the same name holds ticket {key} (Consul's id {found.node_id}, this machine's "
            f"{new.node_id}): give one of the two another name, or free the ticket if it is gone"
        )
    if found.group != new.group:
        return None
    return replace(new, since=found.since, held_since=found.held_since, renewals=found.renewals + 1)


def find_turns(
    group: str, limits: Mapping[str, int | None], queue: Iterable[QueuedTicket]
) -> dict[str, Enter | Behind]:
    """Whether nodes of a group may enter, by node; those whose ticket is missing or cannot be read are left out.

    A spoilt ticket counts against the others as a slot in use, but it lets nobody in: its own node has to queue again.

    :param limits: by node, how many slots its group has, as the node knows it; None is any number.
    """
    line = line_of(group, queue)
    # Also those who stand behind: they may have entered under a larger limit.
    holders = [queued.node for queued in line if queued.is_held]
    named, waiting = tuple(holders[:_NAMED]), 0
    nearest: str | None = None
    found: dict[str, Enter | Behind] = {}
    for position, queued in enumerate(line):
        if queued.node in limits and isinstance(queued.ticket, Ticket):
            limit = limits[queued.node]
            may_enter = queued.is_held or limit is None or len(holders) + waiting < limit
            found[queued.node] = Enter() if may_enter else Behind(nearest, position, named)
        if not queued.is_held:
            nearest, waiting = queued.node, waiting + 1
    return found


def find_turn(own: str, group: str, limit: int | None, queue: Iterable[QueuedTicket]) -> Enter | Behind | None:
    """Whether a node may enter; None when it has no ticket that can be read."""
    return find_turns(group, {own: limit}, queue).get(own)


def line_of(group: str, queue: Iterable[QueuedTicket]) -> list[QueuedTicket]:
    """The tickets of a group, first come first."""
    return sorted((each for each in queue if each.is_in(group)), key=lambda each: (each.create_index, each.node))


@dataclass(frozen=True, slots=True)
class LastChange:
    """Since when an observer has seen a ticket unchanged, by its own clock."""

    modify_index: int
    since: float


def note_changes(seen: Mapping[str, LastChange], queue: Iterable[QueuedTicket], *, now: float) -> dict[str, LastChange]:
    """By node, since when its ticket has not changed.

    :param now: seconds of a clock that only goes forward.
    """
    found = {}
    for queued in queue:
        before = seen.get(queued.node)
        is_same = before is not None and before.modify_index == queued.modify_index
        found[queued.node] = before if before is not None and is_same else LastChange(queued.modify_index, now)
    return found


def find_expired(queue: Iterable[QueuedTicket], seen: Mapping[str, LastChange], *, now: float) -> list[QueuedTicket]:
    """The tickets that were not renewed for longer than they promise.

    Those of failed runs stay until a run succeeds or a person frees them; nobody knows how long unreadable ones last.
    """
    return [queued for queued in queue if (end := expiry_of(queued, seen)) is not None and now > end]


def expiry_of(queued: QueuedTicket, seen: Mapping[str, LastChange]) -> float | None:
    """When a ticket's time is over if nothing changes, by the observer's clock; None for never."""
    last = seen.get(queued.node)
    if isinstance(queued.ticket, Unreadable) or queued.ticket.is_failed or last is None:
        return None
    return last.since + queued.ticket.ttl if last.modify_index == queued.modify_index else None
