"""The line for a tier's slots in which the nodes of this process stand.

No decision rests on a clock of another machine: a ticket's time is over when its ModifyIndex has
stayed the same for longer than its ``ttl`` by the clock of whoever looks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.claimant import Claimant, TicketTimes
from airflow_provider_chefconsul.consul.held_slot import RENEWALS, HeldSlot
from airflow_provider_chefconsul.consul.http.blocking import LONGEST_WAIT
from airflow_provider_chefconsul.consul.record import read_ticket
from airflow_provider_chefconsul.consul.slots import QueueReader
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.model.report import WaitsFor
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.slots import (
    Behind,
    Enter,
    LastChange,
    QueuedTicket,
    expiry_of,
    find_expired,
    find_turns,
    note_changes,
    queue_again,
)
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_REST = 0.1  # seconds between two lists, however often tickets change
_BACKOFF = 0.5  # seconds between two tries while Consul is away
_SHORTEST_LOOK = timedelta(seconds=0.2)
_SAID_AGAIN = 30.0  # seconds before a node says again behind whom it waits


@dataclass
class _Waiting:
    claimant: Claimant
    turn: asyncio.Future[int]
    """The ticket's ModifyIndex when a slot is free, or 0 when the node has no ticket or needs none."""
    after: int
    """The list that was begun last when it had its ticket: only later ones must have the ticket."""
    said: WaitsFor | None = None
    said_at: float = field(default_factory=lambda: -_SAID_AGAIN)


class SlotLine:
    """The line for a tier's slots; one list of its tickets at a time serves all nodes of this process.

    :param times: how long tickets last.
    :param tell: called with a line when a ticket's time is over, or one cannot be read.
    """

    def __init__(
        self,
        view: SharedView,
        environment: str,
        tier: str,
        *,
        times: TicketTimes | None = None,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self._view = view
        self._environment, self._tier = environment, check_name("tier", tier)
        self._times = times or TicketTimes()
        self._tell = tell
        self._waiting: dict[str, _Waiting] = {}
        self._following: asyncio.Task[None] | None = None
        self._reader = QueueReader(view, environment, tier)
        self._queue: list[QueuedTicket] = []
        self._begun = self._listed = 0  # lists: the one begun last, and the one that the queue is from
        self._seen: dict[str, LastChange] = {}
        self._next_end = 0.0
        self._unreadable: set[str] = set()

    async def take(self, claimant: Claimant) -> HeldSlot | None:
        """Wait for a slot, and hold it; None when the node needs none any more.

        :raises DuplicateNode: another machine of the same name has a ticket.
        :raises ConsulUnavailable: Consul stayed away for longer than the view's patience.
        """
        key = self._view.keys.slot(self._environment, self._tier, claimant.node)
        trouble_since: float | None = None
        while True:
            try:
                ticket, index = await self._queue_up(key, claimant)
                index = await self._wait_for_turn(claimant, ticket, key) if not ticket.is_held else index
                want = claimant.want()
                if want is None or want.pace.max_parallel is None:
                    await self._withdraw(key, claimant)
                    return None
                held = replace(
                    ticket.renew(),
                    generation=want.generation,
                    id=want.id,
                    held_since=ticket.held_since or now_written(),
                    ttl=self._times.held,
                )
                if index and await self._view.client.put(key, held.to_json(), modify_index=index):
                    return HeldSlot(self._view.client, key, held, rebooting=self._times.rebooting, tell=self._tell)
                trouble_since = None
            except ConsulUnavailable:
                trouble_since = trouble_since or monotonic()
                if monotonic() - trouble_since > self._view.patience.total_seconds():
                    raise
                await asyncio.sleep(_BACKOFF)

    async def _queue_up(self, key: str, claimant: Claimant) -> tuple[Ticket, int]:
        """The node's ticket and its ModifyIndex: a new one, or what an earlier run of this machine left."""
        want = claimant.want()
        fresh = Ticket(
            claimant.node,
            claimant.node_id,
            claimant.run_id,
            want.generation if want else 0,
            want.id if want else None,
            claimant.group,
            since=now_written(),
            held_since=None,
            ttl=self._times.waiting,
        )
        new, index = fresh, 0
        while True:
            if await self._view.client.put(key, new.to_json(), modify_index=index):
                entry = await self._view.client.get(key)
                if entry is not None and entry.value == new.to_json().encode():
                    return new, entry.modify_index
            else:
                entry = await self._view.client.get(key)
            index = entry.modify_index if entry is not None else 0
            again = queue_again(key, read_ticket(key, entry.value) if entry is not None else None, fresh)
            if again is None:
                await self._view.client.delete(key, modify_index=index)
                index = 0
            new = again or fresh

    async def _wait_for_turn(self, claimant: Claimant, ticket: Ticket, key: str) -> int:
        """The ModifyIndex of the node's ticket when its turn has come; 0 when it must look anew."""
        waiting = _Waiting(claimant, asyncio.get_running_loop().create_future(), after=self._begun)
        self._waiting[claimant.node] = waiting
        try:
            if self._following is None:
                self._following = asyncio.create_task(self._follow())
            while True:
                done, _ = await asyncio.wait({waiting.turn}, timeout=self._times.waiting / RENEWALS)
                if done:
                    return waiting.turn.result()
                entry = await self._view.client.get(key)
                if entry is None or entry.value != ticket.to_json().encode():
                    return 0
                ticket = ticket.renew()
                await self._view.client.put(key, ticket.to_json(), modify_index=entry.modify_index)
        finally:
            if self._waiting.get(claimant.node) is waiting:
                del self._waiting[claimant.node]
            if not self._waiting and self._following is not None:
                self._following.cancel()
                self._following = None

    async def _follow(self) -> None:
        """List the tickets after each change, while a node waits."""
        prefix, index = self._view.keys.slots(self._environment, self._tier).removesuffix("/"), 0
        try:
            await self._view.client.get(f"{prefix}/")  # a list hides what the token may not read; a single key raises
            while True:
                index = await self._view.client.fold(prefix, index=index, wait=self._longest_wait())
                self._begun += 1
                queue = await self._reader.read()
                self._queue, self._listed = await self._end_expired(queue), self._begun
                self.look_again()
                await asyncio.sleep(_REST)
        except ChefConsulError as error:
            self._following = None
            for each in self._waiting.values():
                if not each.turn.done():
                    each.turn.set_exception(error)

    def look_again(self) -> None:
        """Tell each node that waits whether its turn has come; call it when what the nodes want has changed."""
        queue = self._queue
        wanted = {node: each.claimant.want() for node, each in self._waiting.items() if not each.turn.done()}
        indexes = {queued.node: queued.modify_index for queued in queue}
        turns: dict[str, Enter | Behind] = {}
        for group in {self._waiting[node].claimant.group for node in wanted}:
            limits = {
                node: want.pace.max_parallel if want else None
                for node, want in wanted.items()
                if self._waiting[node].claimant.group == group
            }
            turns |= find_turns(group, limits, queue)
        now = monotonic()
        for node, want in wanted.items():
            each = self._waiting[node]
            match turns.get(node):
                case None if self._listed > each.after:
                    each.turn.set_result(0)
                case Enter():
                    each.turn.set_result(indexes[node])
                case Behind(_, ahead, holders):
                    limit = want.pace.max_parallel if want else None
                    waits_for = WaitsFor(holders, limit or 0, ahead)
                    is_news = each.said is None or each.said.slot != holders
                    if is_news and now - each.said_at >= _SAID_AGAIN:
                        each.said, each.said_at = waits_for, now
                        each.claimant.say_behind(waits_for)

    async def _end_expired(self, queue: list[QueuedTicket]) -> list[QueuedTicket]:
        """The tickets without those whose time is over, which are deleted."""
        now = monotonic()
        self._seen = note_changes(self._seen, queue, now=now)
        path, ended = f"{self._environment}/{self._tier}", set()
        for queued in find_expired(queue, self._seen, now=now):
            key = self._view.keys.slot(self._environment, self._tier, queued.node)
            if await self._view.client.delete(key, modify_index=queued.modify_index):
                self._tell(f"{path}: the ticket of {queued.node} was not renewed in time, so it no longer counts")
                ended.add(queued.node)
        ends = (end for queued in queue if (end := expiry_of(queued, self._seen)) is not None)
        self._next_end = min(ends, default=now + LONGEST_WAIT.total_seconds())
        unreadable = {queued.node: queued.ticket for queued in queue if isinstance(queued.ticket, Unreadable)}
        for node in unreadable.keys() - self._unreadable:
            self._tell(f"{path}: the ticket of {node} counts as a slot in use: {unreadable[node]}")
        self._unreadable = set(unreadable)
        return [queued for queued in queue if queued.node not in ended]

    def _longest_wait(self) -> timedelta:
        """Until the next ticket's time is over, or there is news."""
        left = timedelta(seconds=self._next_end - monotonic())
        return min(LONGEST_WAIT, max(left, _SHORTEST_LOOK))

    async def _withdraw(self, key: str, claimant: Claimant) -> None:
        """Take the node's ticket out of the line."""
        entry = await self._view.client.get(key)
        ticket = read_ticket(key, entry.value) if entry is not None else None
        if entry is not None and isinstance(ticket, Ticket) and ticket.run_id == claimant.run_id:
            await self._view.client.delete(key, modify_index=entry.modify_index)


def now_written() -> str:
    """The time as tickets say it."""
    return write_moment(datetime.now(UTC))
