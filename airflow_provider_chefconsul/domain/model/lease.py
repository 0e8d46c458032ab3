"""One orchestrator per environment: who holds it, and when a lease has expired. Pure; time is a parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.model.desired import COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.model.document import SCHEMA, read_document
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
        """The form that logs and errors use."""
        if self.dag_id == COMMAND_LINE:
            return f"{self.dag_id}, {self.run_id}"
        return f"Dag {self.dag_id}, run {self.run_id}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The document under an environment's ``_lease`` key.

    :param ttl: how long it stands when nobody renews it.
    :param acquired_at: ISO 8601, UTC, by the holder's clock, as ``expires_at``: for people, no decision rests on them.
    """

    holder: DagRun
    ttl: timedelta
    acquired_at: str
    expires_at: str
    reason: str = ""

    @classmethod
    def begin(cls, holder: DagRun, ttl: timedelta, reason: str, *, now: datetime) -> Lease:
        """A lease that begins now."""
        return cls(holder, ttl, _moment(now), _moment(now + ttl), reason)

    def renew(self, *, now: datetime) -> Lease:
        """This lease for another ttl."""
        return replace(self, expires_at=_moment(now + self.ttl))

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

        :raises MalformedDocument: not the document that belongs there; says how to get rid of it.
        :raises UnknownSchema: a document of another schema.
        """
        try:
            return cls._read(key, text)
        except MalformedDocument as error:  # nobody may write meanwhile, and nothing replaces it by itself
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
    """That a lease was seen at a ModifyIndex, and since when without a change.

    Clocks of holders and waiters differ, so an age is measured by one clock only: the waiter's own, from when it first
    saw the ModifyIndex that the lease still has.

    :param since: seconds on the waiter's monotonic clock.
    """

    modify_index: int
    since: float

    def observe(self, modify_index: int, *, now: float, is_interrupted: bool = False) -> LeaseObservation:
        """This observation, having looked again.

        :param is_interrupted: whether Consul was away since the last look: its holder could not renew it either, so the
            time that has passed says nothing about the holder.
        """
        is_unchanged = modify_index == self.modify_index and not is_interrupted
        return self if is_unchanged else LeaseObservation(modify_index, now)

    def remaining(self, lease: Lease, *, now: float) -> float:
        """Seconds until the lease has gone unrenewed for its ttl; not above 0 when it has expired."""
        return self.since + lease.ttl.total_seconds() - now


def check_ttl(ttl: object) -> timedelta:
    """Return ``ttl`` when a lease may have it.

    :raises InvalidInput: says the bounds.
    """
    if isinstance(ttl, timedelta) and SHORTEST_TTL <= ttl <= LONGEST_TTL:
        return ttl
    raise InvalidInput(f"ttl must be a timedelta from {SHORTEST_TTL} to {LONGEST_TTL}, not {ttl!r}")


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
