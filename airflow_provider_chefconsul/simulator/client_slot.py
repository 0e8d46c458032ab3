"""The slot that one run of the stand-in for chef-client takes; loaded only where a desired state has slots."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status, WaitsFor
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
    find_turn,
    note_changes,
    queue_again,
)
from airflow_provider_chefconsul.exceptions import ConsulError, MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.keys import Keys
    from airflow_provider_chefconsul.domain.model.desired import Assignment
    from airflow_provider_chefconsul.simulator.kv import KeyValue

T = TypeVar("T")
TTL, TTL_OF_WAITING = 120, 600  # seconds
LONGEST_LOOK = 10.0  # seconds; the server keeps an abandoned query until it ends
_TIMEOUT = 8.0
_SAID_AGAIN = 30.0  # seconds
_RENEWALS = 3  # in a ticket's time


class ClientSlot:
    """A run's ticket: it queues, enters, is renewed by a thread, and is settled when the outcome is reported.

    :param report: the run's.
    :param say: called with a line for the run's output.
    :param ask: calls a function until Consul answers.
    """

    def __init__(
        self,
        kv: KeyValue,
        keys: Keys,
        environment: str,
        *,
        report: NodeReport,
        say: Callable[[str], None],
        ask: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._kv = kv
        self._prefix = keys.slots(environment, report.tier)
        self._key = keys.slot(environment, report.tier, report.node)
        self._report = report
        self._say = say
        self._ask = ask
        self._seen: dict[str, LastChange] = {}
        self._said: tuple[tuple[str, ...] | None, float] = (None, -_SAID_AGAIN)
        self._is_over = Event()
        self._is_held = False

    def enter(
        self,
        assignment: Assignment,
        read_again: Callable[[], Assignment],
        on_behind: Callable[[Assignment, WaitsFor], None],
    ) -> Assignment:
        """Wait for a slot; returns the newest assignment, which is the one to run, as soon as it may be run.

        :param on_behind: called with what the run waits for.
        :raises DuplicateNode: another machine of the same name has a ticket.
        """
        while (limit := assignment.pace.max_parallel) is not None:
            own = self._queue_up(assignment)
            index, queue = self._list()
            match find_turn(self._report.node, own.group, limit, queue):
                case Enter():
                    held_since = own.held_since or write_moment(datetime.now(UTC))
                    modify_index = next(each.modify_index for each in queue if each.node == self._report.node)
                    if self._write(replace(own.renew(), held_since=held_since, ttl=TTL), modify_index):
                        self._is_held = True
                        Thread(target=self._renew, daemon=True).start()
                        return assignment
                case Behind(watch, ahead, holders):
                    self._say_behind(assignment, WaitsFor(holders, limit, ahead), on_behind)
                    is_far = watch is not None and ahead >= 2 * limit
                    self._watch(f"{self._prefix}{watch}" if is_far else self._prefix, index, queue)
                    self._renew_waiting(own, queue)
            assignment = read_again()
        self._settle(None)
        return assignment

    def settle(self, status: Status) -> None:
        """Give the slot back after a success, keep it after a failure; else it stays until its time is over."""
        self._is_over.set()
        if self._is_held and status in {Status.SUCCEEDED, Status.FAILED}:
            self._settle((lambda ticket: replace(ticket.renew(), is_failed=True)) if status is Status.FAILED else None)

    def _queue_up(self, assignment: Assignment) -> Ticket:
        """This run's ticket: a new one, or what an earlier run of this machine has left."""
        while True:
            found, modify_index = self._own()
            if isinstance(found, Ticket) and found.run_id == self._report.run_id:
                return found
            fresh = Ticket(
                self._report.node,
                self._report.node_id,
                self._report.run_id,
                assignment.generation,
                assignment.id,
                "",  # a simulated node has no metadata
                write_moment(datetime.now(UTC)),
                None,
                TTL_OF_WAITING,
            )
            ticket = queue_again(self._key, found, fresh)
            if ticket is None:
                self._delete(self._key, modify_index)
            else:
                self._write(ticket, modify_index)

    def _list(self) -> tuple[int, list[QueuedTicket]]:
        """The tickets, without those whose time is over, which are deleted."""
        index, entries = self._ask(lambda: self._kv.entries(self._prefix, timeout=_TIMEOUT))
        queue = [_read(entry) for entry in entries if is_name(entry["Key"].removeprefix(self._prefix))]
        now = monotonic()
        self._seen = note_changes(self._seen, queue, now=now)
        for each in find_expired([each for each in queue if each.node != self._report.node], self._seen, now=now):
            if self._delete(f"{self._prefix}{each.node}", each.modify_index):
                self._say(f"the ticket of {each.node} was not renewed in time, so it no longer counts")
                queue.remove(each)
        return index, queue

    def _watch(self, key: str, index: int, queue: list[QueuedTicket]) -> None:
        """Wait until something changes, or a ticket's time is over."""
        ends = [end for each in queue if (end := expiry_of(each, self._seen)) is not None]
        seconds = max(0.2, min([LONGEST_LOOK, *(end - monotonic() for end in ends)]))
        self._ask(lambda: self._kv.entries(key, index=index, wait=seconds, timeout=_TIMEOUT + 2 * seconds))

    def _say_behind(
        self, assignment: Assignment, waits_for: WaitsFor, on_behind: Callable[[Assignment, WaitsFor], None]
    ) -> None:
        slot, at = self._said
        if slot != waits_for.slot and monotonic() - at >= _SAID_AGAIN:
            self._said = waits_for.slot, monotonic()
            self._say(f"waits for a slot: {waits_for}")
            on_behind(assignment, waits_for)

    def _renew_waiting(self, own: Ticket, queue: list[QueuedTicket]) -> None:
        for each in queue:
            if each.node == own.node and monotonic() - self._seen[own.node].since > own.ttl / _RENEWALS:
                self._write(own.renew(), each.modify_index)

    def _renew(self) -> None:
        while not self._is_over.wait(TTL / _RENEWALS):
            try:
                ticket, modify_index = self._own()
                if not (isinstance(ticket, Ticket) and ticket.run_id == self._report.run_id):
                    self._say("its ticket was freed or replaced; it finishes the run without a slot")
                    return
                self._kv.put_if(self._key, ticket.renew().to_json(), modify_index, timeout=_TIMEOUT)
            except ConsulError:  # what has begun cannot be undone
                continue

    def _settle(self, change: Callable[[Ticket], Ticket] | None) -> None:
        """Change or delete this run's ticket."""
        while True:
            ticket, modify_index = self._own()
            if not (isinstance(ticket, Ticket) and ticket.run_id == self._report.run_id):
                return
            if change is not None and self._write(change(ticket), modify_index):
                return
            if change is None and self._delete(self._key, modify_index):
                return

    def _own(self) -> tuple[Ticket | Unreadable | None, int]:
        _, entries = self._ask(lambda: self._kv.entries(self._key, is_prefix=False, timeout=_TIMEOUT))
        return next(((each.ticket, each.modify_index) for each in map(_read, entries)), (None, 0))

    def _write(self, ticket: Ticket, modify_index: int) -> bool:
        return bool(self._ask(lambda: self._kv.put_if(self._key, ticket.to_json(), modify_index, timeout=_TIMEOUT)))

    def _delete(self, key: str, modify_index: int) -> bool:
        return bool(self._ask(lambda: self._kv.delete_if(key, modify_index, timeout=_TIMEOUT)))


def _read(entry: dict[str, Any]) -> QueuedTicket:
    key: str = entry["Key"]
    ticket: Ticket | Unreadable
    try:
        ticket = Ticket.from_json(key, base64.b64decode(entry["Value"] or ""))
    except MalformedDocument as error:
        ticket = Unreadable.of(error)
    return QueuedTicket(key.rpartition("/")[2], ticket, entry["CreateIndex"], entry["ModifyIndex"])
