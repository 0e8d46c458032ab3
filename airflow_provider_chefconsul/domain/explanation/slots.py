"""What is said of a tier's pace and of the tickets for its slots: who holds one, for how long, and who waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.model.membership import Member, Members
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment, span, whole_span
from airflow_provider_chefconsul.domain.slots import QueuedTicket, is_held
from airflow_provider_chefconsul.domain.text import list_some, one_line

_NAMED = 5  # nodes that hold slots


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
        return f"{one_line(self.node)} {self.text}"


@dataclass(frozen=True, slots=True)
class PaceExplanation:
    """A tier's pace, in words.

    :param line: how many nodes may converge at one time, who does, and how many wait: "2 at a time; in: web-1; 4 wait".
    :param stuck: holders of slots that do not converge, so that a person may have to free them, in order.
    """

    line: str
    stuck: tuple[TicketExplanation, ...] = ()


def explain_tickets(queue: Iterable[QueuedTicket], members: Members, *, now: datetime) -> list[TicketExplanation]:
    """Explain tickets: those that are held, then those of nodes that wait, each first come first."""
    order = sorted(queue, key=lambda queued: (not queued.is_held, queued.create_index, queued.node))
    return [explain_ticket(queued.node, queued.ticket, members.get(queued.node), now=now) for queued in order]


def explain_ticket(
    node: str, ticket: Ticket | Unreadable, member: Member | None, *, now: datetime
) -> TicketExplanation:
    """Explain one ticket.

    :param member: None when its node is no member.
    """
    return TicketExplanation(node, one_line(_describe(ticket, member, now=now)), is_held(ticket))


def explain_pace(
    pace: AssignmentPace, tickets: Mapping[str, Ticket | Unreadable], members: Members, *, now: datetime
) -> PaceExplanation | None:
    """Explain a pace and who is at it; None when it limits nothing.

    :param tickets: by node.
    :param members: at least those that have tickets.
    """
    limit = _describe_limit(pace)
    if pace.max_parallel is None:
        return PaceExplanation(limit) if limit else None
    held = sorted((node for node, ticket in tickets.items() if is_held(ticket)), key=natural_order)
    waiting = len(tickets) - len(held)
    inside = [f"in: {list_some(held, _NAMED)}"] if held else []
    behind = [f"{waiting} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    stuck = [
        explain_ticket(node, tickets[node], members.get(node), now=now)
        for node in held
        if _is_stuck(tickets[node], members.get(node))
    ]
    return PaceExplanation(one_line("; ".join([limit, *inside, *behind])), tuple(stuck))


def _describe_limit(pace: AssignmentPace) -> str:
    per = f" for each {pace.per}" if pace.per else ""
    slots = [f"{pace.max_parallel} at a time{per}"] if pace.max_parallel is not None else []
    spread = [f"spread over {whole_span(pace.spread_over)}"] if pace.spread_over else []
    return ", ".join([*slots, *spread])


def _is_stuck(ticket: Ticket | Unreadable, member: Member | None) -> bool:
    return isinstance(ticket, Unreadable) or ticket.is_failed or member is None or not member.is_present


def _describe(ticket: Ticket | Unreadable, member: Member | None, *, now: datetime) -> str:
    match ticket:
        case Unreadable() as unreadable:
            return f"has a ticket that cannot be read, which counts as a slot in use: {unreadable}"
        case Ticket(is_failed=True):
            text = f"keeps {_slot(ticket.held_since, ticket, now)}: its run failed, so it is the first to run again"
        case Ticket(held_since=str()):
            text = f"holds {_slot(ticket.held_since, ticket, now)}"
        case _:
            text = f"waits for {_slot(ticket.since, ticket, now)}"
    if member is None:
        return f"{text}; it is no member"
    return text if member.is_present else f"{text}; its agent is not alive"


def _slot(since: str | None, ticket: Ticket, now: datetime) -> str:
    moment, group = read_moment(since), f" of {ticket.group}" if ticket.group else ""
    return f"a slot{group}" + (f" for {span(moment, now)}" if moment else "")
