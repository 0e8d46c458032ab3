"""What is said of the tickets for a tier's slots: who holds one, for how long, and who waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment, span
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from airflow_provider_chefconsul.domain.text import one_line


@dataclass(frozen=True, slots=True)
class TicketExplanation:
    """A ticket, in words.

    :param text: one line, without the node's name.
    """

    node: str
    text: str
    is_held: bool

    def __str__(self) -> str:
        """The line with the node's name."""
        return f"{self.node} {self.text}"


def explain_tickets(queue: Iterable[QueuedTicket], members: Members, *, now: datetime) -> list[TicketExplanation]:
    """Explain tickets: those that are held, then those of nodes that wait, each first come first."""
    order = sorted(queue, key=lambda queued: (not queued.is_held, queued.create_index, queued.node))
    return [
        TicketExplanation(queued.node, one_line(_describe(queued, members, now=now)), queued.is_held)
        for queued in order
    ]


def _describe(queued: QueuedTicket, members: Members, *, now: datetime) -> str:
    match queued.ticket:
        case Unreadable() as unreadable:
            return f"has a ticket that cannot be read, which counts as a slot in use: {unreadable}"
        case Ticket(is_failed=True) as ticket:
            text = f"keeps {_slot(ticket.held_since, ticket, now)}: its run failed, so it is the first to run again"
        case Ticket(held_since=str()) as ticket:
            text = f"holds {_slot(ticket.held_since, ticket, now)}"
        case ticket:
            text = f"waits for {_slot(ticket.since, ticket, now)}"
    member = members.get(queued.node)
    if member is None:
        return f"{text}; it is no member"
    return text if member.is_present else f"{text}; its agent is not alive"


def _slot(since: str | None, ticket: Ticket, now: datetime) -> str:
    moment, group = read_moment(since), f" of {ticket.group}" if ticket.group else ""
    return f"a slot{group}" + (f" for {span(moment, now)}" if moment else "")
