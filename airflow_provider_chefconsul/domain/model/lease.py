"""One orchestrator per environment: who holds it, and when a lease has expired. Pure; time is a parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.model.document import SCHEMA, read_document
from airflow_provider_chefconsul.domain.model.writer import BOARD, COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument

SHORTEST_TTL = timedelta(seconds=30)  # a holder renews three times within it, and a deferral takes some seconds
LONGEST_TTL = timedelta(days=1)
_LONGEST_TTL_SECONDS = int(LONGEST_TTL.total_seconds())


@dataclass(frozen=True, slots=True)
class DagRun:
    """A Dag run; not a process or a task, so that a lease survives retries, clears and deferral."""

    dag_id: str
    run_id: str

    @classmethod
    def of(cls, writer: Writer) -> DagRun:
        """The Dag run of a task instance."""
        return cls(writer.dag_id, writer.run_id)

    def __str__(self) -> str:
        if self.dag_id in {COMMAND_LINE, BOARD}:
            return f"{self.dag_id}, {self.run_id}"
        return f"Dag {self.dag_id}, run {self.run_id}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The document under an environment's ``_lease`` key.

    :param ttl: how long it is valid unless renewed.
    :param acquired_at: ISO 8601, UTC, by the holder's clock, like ``expires_at``; both are for people only.
    """

    holder: DagRun
    ttl: timedelta
    acquired_at: str
    expires_at: str
    reason: str = ""

    @classmethod
    def begin(cls, holder: DagRun, ttl: timedelta, reason: str, *, now: datetime) -> Lease:
        """A lease that begins now."""
        return cls(holder, ttl, write_moment(now), write_moment(now + ttl), reason)

    def renew(self, *, now: datetime) -> Lease:
        """This lease for another ttl."""
        return replace(self, expires_at=write_moment(now + self.ttl))

    def describe(self) -> str:
        """Who holds it, since when and why, in one line."""
        why = f": {self.reason}" if self.reason else ""
        return f"held by {self.holder} since {self.acquired_at}{why}"

    def to_json(self) -> str:
        """The JSON form."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "holder": {"dag_id": self.holder.dag_id, "run_id": self.holder.run_id},
                "ttl_seconds": int(self.ttl.total_seconds()),
                "acquired_at": self.acquired_at,
                "expires_at": self.expires_at,
                "reason": self.reason,
            }
        )

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> Lease:
        """Read the document under ``key``.

        :raises MalformedDocument: not a lease; says how to remove it.
        :raises UnknownSchema: a document of another schema.
        """
        try:
            return cls._read(key, text)
        except MalformedDocument as error:  # nobody may write until somebody deletes it
            raise error.advise("delete this key when no rollout is going on") from error

    @classmethod
    def _read(cls, key: str, text: str | bytes | None) -> Lease:
        document = read_document(key, text)
        holder = document.child("holder")
        return cls(
            holder=DagRun(holder.text("dag_id"), holder.text("run_id")),
            ttl=timedelta(seconds=document.integer("ttl_seconds", minimum=1, maximum=_LONGEST_TTL_SECONDS)),
            acquired_at=document.text("acquired_at"),
            expires_at=document.text("expires_at"),
            reason=document.text("reason") if document.has("reason") else "",
        )


@dataclass(frozen=True, slots=True)
class LeaseObservation:
    """The ModifyIndex of a lease, and since when it has not changed.

    Clocks of holders and waiters differ, so a lease's age is measured by the waiter's alone, from when it first saw
    this ModifyIndex.

    :param since: seconds on the waiter's monotonic clock.
    """

    modify_index: int
    since: float

    def observe(self, modify_index: int, *, now: float, is_interrupted: bool = False) -> LeaseObservation:
        """This observation after another look.

        :param is_interrupted: whether Consul was unavailable since the last look; then the holder could not renew, so
            the age starts over.
        """
        is_unchanged = modify_index == self.modify_index and not is_interrupted
        return self if is_unchanged else LeaseObservation(modify_index, now)

    def remaining(self, lease: Lease, *, now: float) -> float:
        """Seconds until the lease expires; 0 or less when it has."""
        return self.since + lease.ttl.total_seconds() - now


def check_ttl(ttl: object) -> timedelta:
    """Return ``ttl`` if it is within bounds.

    :raises InvalidInput: names the bounds.
    """
    if isinstance(ttl, timedelta) and SHORTEST_TTL <= ttl <= LONGEST_TTL:
        return ttl
    raise InvalidInput(f"ttl must be a timedelta from {SHORTEST_TTL} to {LONGEST_TTL}, not {ttl!r}")
