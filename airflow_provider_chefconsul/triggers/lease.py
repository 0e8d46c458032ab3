"""Waiting for an environment to become free, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_answer
from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class LeaseTrigger(WaitingTrigger[bool]):
    """
    Waits for the lease of an environment, and takes it.

    Started again after it took the lease, it finds that its Dag run has it. When the task is cleared or marked while it
    waits, a lease that it took stays with the Dag run: until the teardown gives it up, or its ttl has passed.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the environment.
    :param holder: the Dag run that is to hold it: ``{"dag_id", "run_id"}``.
    :param ttl: seconds that the lease stands when nobody renews it.
    :param reason: why, for those who wait.
    :param deadline: ISO 8601 with offset; when to give up.
    :param writer: who acquires it, for the journal: the JSON form of a :class:`Writer`; None tells it nothing.
    :param dag_id: with ``run_id``, what an older version stored in place of ``holder``.
    """

    def __init__(
        self,
        *,
        consul_conn_id: str,
        environment: str,
        holder: Mapping[str, str] | None = None,
        ttl: float,
        reason: str,
        deadline: str,
        writer: Mapping[str, Any] | None = None,
        dag_id: str = "",
        run_id: str = "",
    ) -> None:
        stored = {"dag_id": dag_id, "run_id": run_id}
        super().__init__(consul_conn_id=consul_conn_id, environment=environment, holder=holder or stored)
        self.ttl = ttl
        self.reason = reason
        self.deadline = datetime.fromisoformat(deadline)
        self.writer = None if writer is None else Writer(**writer)
        self.has_taken_over = False
        """Whether it took the lease from a Dag run that did not renew it."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        own = {
            "ttl": self.ttl,
            "reason": self.reason,
            "deadline": self.deadline.isoformat(),
            "writer": self.writer and self.writer.to_fields(),
        }
        return path, {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say whether the Dag run has the lease: ``{"is_held", "error", "has_taken_over"}``."""
        try:
            is_held = await self.wait()
        except ChefConsulError as error:
            yield TriggerEvent({"is_held": False, "error": describe_error(error)})
        else:
            yield TriggerEvent({"is_held": is_held, "error": "", "has_taken_over": self.has_taken_over})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> bool | None:
        """Wait until the Dag run has the lease, at most until the deadline.

        :returns: whether it has the lease; None when ``until`` came first.
        """
        from airflow_provider_chefconsul.consul.acquisition import acquire

        assert self.holder is not None  # the Dag run that waits
        limit = self.deadline if until is None else min(self.deadline, until)
        async with self._open_view(view) as opened:
            is_held = await acquire(
                opened,
                self.environment,
                self.holder,
                ttl=timedelta(seconds=self.ttl),
                reason=self.reason,
                until=limit,
                by=self.writer,
                on_progress=self.log.info,
                on_takeover=self._note_takeover,
            )
        return None if not is_held and limit < self.deadline else is_held

    def _note_takeover(self) -> None:
        self.has_taken_over = True


def has_taken_over(event: Any) -> bool:
    """Whether the lease was taken over, where the event tells."""
    return isinstance(event, dict) and event.get("has_taken_over") is True


def read_is_held(event: Any) -> bool:
    """Read whether the Dag run has the lease.

    :raises ChefConsulError: the event carries an error, or is not one of this trigger's.
    """
    return read_answer(event, "whether a lease is held", lambda fields: bool(fields["is_held"]))
