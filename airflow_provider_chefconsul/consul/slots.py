"""The tickets for the slots of tiers: reading them, and taking one away.

Each node has a ticket of its own, so that no two nodes write one key; what the tickets mean is decided in
``domain/slots.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.consul.record import read_ticket
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.slots import QueuedTicket
from airflow_provider_chefconsul.exceptions import TransactionConflict

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.entry import CreatedEntry
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.model.writer import Writer


class QueueReader:
    """Reads all tickets for a tier's slots, again and again; only those that have changed are parsed."""

    def __init__(self, view: SharedView, environment: str, tier: str) -> None:
        self._view = view
        self._prefix = view.keys.slots(environment, tier)
        self._known: dict[str, tuple[CreatedEntry, QueuedTicket]] = {}

    async def read(self) -> list[QueuedTicket]:
        """The tickets as they are now, without keys that no node can have."""
        entries = await self._view.client.created(self._prefix)
        self._known = {
            entry.key: self._parse(entry) for entry in entries if is_name(entry.key.removeprefix(self._prefix))
        }
        return [queued for _, queued in self._known.values()]

    def _parse(self, entry: CreatedEntry) -> tuple[CreatedEntry, QueuedTicket]:
        known = self._known.get(entry.key)
        if known is not None and known[0] == entry:
            return known
        node, ticket = entry.key.removeprefix(self._prefix), read_ticket(entry.key, entry.value)
        return entry, QueuedTicket(node, ticket, entry.create_index, entry.modify_index)


async def read_queue(view: SharedView, environment: str, tier: str) -> list[QueuedTicket]:
    """All tickets for a tier's slots.

    :raises AccessDenied: the token may not read them, which must not pass for a tier where nobody holds one.
    """
    await view.client.get(view.keys.slots(environment, tier))  # a list hides what the token may not read
    return await QueueReader(view, environment, tier).read()


async def free(view: SharedView, environment: str, tier: str, node: str, by: Writer, *, reason: str = "") -> bool:
    """Take a node's ticket away, as it stands now, whatever the node does, and tell the journal; whether it had one.

    The node goes on with what it has begun; one that waits queues again.

    :param by: who frees it.
    """
    key = view.keys.slot(environment, tier, node)
    while (entry := await view.client.get(key)) is not None:
        freed = JournalEntry(now_written(), by, JournalAct.SLOT_FREED, reason=reason, scope=(tier,), node=node)
        try:
            await append(view, environment, freed, *Operation.check_and_delete(key, entry.modify_index))
        except TransactionConflict:  # its node has renewed it or given it back meanwhile
            continue
        return True
    return False
