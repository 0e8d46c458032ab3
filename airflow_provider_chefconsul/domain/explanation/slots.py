"""What is said of a tier's pace and of the tickets for its slots: who holds one, for how long, and who waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member, Members
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment, span, whole_span
from airflow_provider_chefconsul.domain.slots import QueuedTicket, is_held
from airflow_provider_chefconsul.domain.text import list_some, one_line

_NAMED = 5  # nodes that hold slots
_EXPLAINED = 4  # holders that do not converge


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

    :param lines: for each assignment that limits it, how many nodes may converge at one time, who does, and how many
        wait: "2 at a time; in: web-1; 4 wait".
    :param stuck: holders of slots that do not converge, so that a person may have to free them: the first few, and how
        many more there are.
    """

    lines: tuple[str, ...]
    stuck: tuple[str, ...] = ()


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
    desired: DesiredState, tickets: Mapping[str, Ticket | Unreadable], members: Members, *, now: datetime
) -> PaceExplanation | None:
    """Explain how fast a tier may go and who is at it; None when nothing limits it.

    While a canary is out, each of the two assignments has the tickets of its own nodes. A ticket that cannot be read or
    is of neither may hold up the nodes of both, so it counts for each.

    :param tickets: by node.
    :param members: at least those that have tickets.
    """
    slotted = {each.generation for each in desired.assignments if each.pace.max_parallel is not None}
    ordered = {node: tickets[node] for node in sorted(tickets, key=natural_order)} if slotted else {}
    kinds = ("",) if desired.canary is None else ("stable: ", "canary: ")
    lines = []
    for kind, assignment in zip(kinds, desired.assignments, strict=True):
        others = slotted - {assignment.generation}
        own = {
            node: each
            for node, each in ordered.items()
            if isinstance(each, Unreadable) or each.generation not in others
        }
        if line := _describe_pace(assignment.pace, own):
            lines.append(one_line(f"{kind}{line}"))
    stuck = [node for node, each in ordered.items() if is_held(each) and _is_stuck(each, members.get(node))]
    words = [str(explain_ticket(node, tickets[node], members.get(node), now=now)) for node in stuck[:_EXPLAINED]]
    more = [f"… and {len(stuck) - _EXPLAINED} more such holders of slots"] if len(stuck) > _EXPLAINED else []
    return PaceExplanation(tuple(lines), (*words, *more)) if lines else None


def _describe_pace(pace: AssignmentPace, tickets: Mapping[str, Ticket | Unreadable]) -> str:
    limit = _describe_limit(pace)
    if pace.max_parallel is None:
        return limit
    held = [node for node, ticket in tickets.items() if is_held(ticket)]
    waiting = len(tickets) - len(held)
    inside = [f"in: {list_some(held, _NAMED)}"] if held else []
    behind = [f"{waiting} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    return "; ".join([limit, *inside, *behind])


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
