"""A slot that a node of this process holds: renewed while its run goes on, then given back or kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.record import read_ticket
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient
    from airflow_provider_chefconsul.consul.http.entry import Entry

RENEWALS = 3  # in a ticket's time
_BACKOFF = 0.5  # seconds between two tries while Consul is away


class HeldSlot:
    """A slot; end it with one of its methods once the run's outcome is reported.

    :param rebooting: for how many seconds the ticket lasts while the node reboots.
    :param tell: called with a line when the ticket is no longer the node's.
    """

    def __init__(
        self, client: ConsulClient, key: str, ticket: Ticket, *, rebooting: int, tell: Callable[[str], None]
    ) -> None:
        self.ticket = ticket
        self._client = client
        self._key = key
        self._rebooting = rebooting
        self._tell = tell
        self._renewing = asyncio.create_task(self._renew())

    async def give_back(self) -> None:
        """Let the next node enter."""
        await self._end(None)

    async def keep_failed(self) -> None:
        """Keep the slot after a failure: a release that fails everywhere stops by itself."""
        await self._end(replace(self.ticket.renew(), is_failed=True))

    async def keep_for_reboot(self) -> None:
        """Keep the slot until the node is back."""
        await self._end(replace(self.ticket.renew(), ttl=self._rebooting))

    def abandon(self) -> None:
        """Keep the slot until the ticket's time is over: the run was cut off."""
        self._renewing.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.ticket.ttl / RENEWALS)
            try:
                self.ticket = self.ticket.renew()
                if not await self._write(self.ticket):
                    self._tell(f"{self._key} was freed or replaced; {self.ticket.node} finishes its run without a slot")
                    return
            except ConsulUnavailable:  # what has begun cannot be undone
                continue

    async def _end(self, ticket: Ticket | None) -> None:
        """Replace or delete the ticket, if it is still the node's, and stop renewing it."""
        self.abandon()
        give_up = monotonic() + self._client.retry_for.total_seconds()
        while True:
            try:
                await self._write(ticket)
            except ConsulUnavailable as error:
                if monotonic() > give_up:
                    self._tell(f"{self._key} stays until its time is over: {error}")
                    return
                await asyncio.sleep(_BACKOFF)
            else:
                return

    async def _write(self, ticket: Ticket | None) -> bool:
        """Write or delete the ticket; False when it is no longer the node's."""
        while True:
            entry = await self._client.get(self._key)
            if entry is None or not self._is_own(entry, is_ending=ticket is None):
                return False
            index = entry.modify_index
            if ticket is None:
                is_done = await self._client.delete(self._key, modify_index=index)
            else:
                is_done = await self._client.put(self._key, ticket.to_json(), modify_index=index)
            if is_done:
                return True

    def _is_own(self, entry: Entry, *, is_ending: bool) -> bool:
        """Whether the run wrote it; one that nobody can read stands under its node's name, and ends with the run."""
        found = read_ticket(self._key, entry.value)
        return found.run_id == self.ticket.run_id if isinstance(found, Ticket) else is_ending
