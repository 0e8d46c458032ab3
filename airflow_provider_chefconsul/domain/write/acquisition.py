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
    """Nobody holds the environment: put this lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Renew:
    """The Dag run holds it already: put this lease in the place of the one that stands."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Its holder has not renewed it for its ttl: put this lease, and mark who has lost the other."""

    lease: Lease
    expired: Lease


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Another Dag run holds it, for so many seconds unless it renews the lease."""

    lease: Lease
    remaining: float


def plan_acquisition(
    current: Lease | None, request: LeaseRequest, *, remaining: float, now: datetime
) -> Take | Renew | TakeOver | WaitFor:
    """Who may have the lease, and how.

    :param current: the lease that stands.
    :param remaining: seconds until that has gone unrenewed for its ttl, as watched from here.
    """
    match current:
        case None:
            return Take(request.begin(now=now))
        case Lease(holder=request.holder, ttl=request.ttl):
            return Renew(current.renew(now=now))
        case Lease(holder=request.holder):  # with another ttl, it begins anew
            return Renew(request.begin(now=now))
        case Lease() if remaining <= 0:
            return TakeOver(request.begin(now=now), current)
        case Lease():
            return WaitFor(current, remaining)
