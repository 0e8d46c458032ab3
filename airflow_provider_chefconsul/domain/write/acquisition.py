"""Acquiring an environment: what a Dag run that wants the lease does next. Pure; time is a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A lease that a Dag run wants."""

    holder: DagRun
    ttl: timedelta
    reason: str

    def begin(self, *, now: datetime) -> Lease:
        """The lease, begun now."""
        return Lease.begin(self.holder, self.ttl, self.reason, now=now)


@dataclass(frozen=True, slots=True)
class Take:
    """Nobody holds the environment: write this lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Renew:
    """The Dag run holds it already: replace its lease with this one."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The holder's lease has expired: replace it with this one, and mark the old holder."""

    lease: Lease
    expired: Lease


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Another Dag run holds it; its lease expires in ``remaining`` seconds unless renewed."""

    lease: Lease
    remaining: float


def plan_acquisition(
    current: Lease | None, request: LeaseRequest, *, remaining: float, now: datetime
) -> Take | Renew | TakeOver | WaitFor:
    """Decide how a Dag run gets the lease, or that it must wait.

    :param current: the current lease, if any.
    :param remaining: seconds until it expires, as watched from here.
    """
    match current:
        case None:
            return Take(request.begin(now=now))
        case Lease(holder=request.holder, ttl=request.ttl):
            return Renew(current.renew(now=now))
        case Lease(holder=request.holder):  # another ttl: a new lease
            return Renew(request.begin(now=now))
        case Lease() if remaining <= 0:
            return TakeOver(request.begin(now=now), current)
        case Lease():
            return WaitFor(current, remaining)
