"""The tickets for the slots of tiers: reading them, and taking one away.

Each node has a ticket of its own, so that no two nodes write one key; what the tickets mean is decided in
``domain/slots.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from airflow_provider_chefconsul.exceptions import MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


async def read_queue(view: SharedView, environment: str, tier: str) -> list[QueuedTicket]:
    """All tickets for a tier's slots."""
    prefix = view.keys.slots(environment, tier)
    queue = []
    for entry in await view.client.created(prefix):
        ticket = read_ticket(entry.key, entry.value)
        queue.append(QueuedTicket(entry.key.removeprefix(prefix), ticket, entry.create_index, entry.modify_index))
    return queue


def read_ticket(key: str, value: bytes) -> Ticket | Unreadable:
    """Parse a ticket, or say why it cannot be read."""
    try:
        return Ticket.from_json(key, value)
    except MalformedDocument as error:
        return Unreadable.of(error)


async def free(view: SharedView, environment: str, tier: str, node: str) -> bool:
    """Take a node's ticket away, as it stands now, whatever the node does; whether it had one.

    The node goes on with what it has begun; one that waits queues again.
    """
    key = view.keys.slot(environment, tier, node)
    while (entry := await view.client.get(key)) is not None:
        if await view.client.delete(key, modify_index=entry.modify_index):
            return True
    return False
