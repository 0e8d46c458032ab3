"""Acquiring an environment: each case and its outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.write.acquisition import (
    LeaseRequest,
    Renew,
    Take,
    TakeOver,
    WaitFor,
    plan_acquisition,
)
from tests.support.factory import NOW, make_lease

FIVE, TEN = timedelta(minutes=5), timedelta(minutes=10)
US = make_lease().holder
REQUEST = LeaseRequest(US, FIVE, "upgrade to 2.5.0")
BEGUN = make_lease()
EARLIER = make_lease(acquired_at="2026-11-22T07:00:00Z", expires_at="2026-11-22T07:05:00Z", reason="as it began")
OTHERS = make_lease(holder=DagRun("nightly", "scheduled__1"))


@pytest.mark.parametrize(
    ("standing", "remaining", "act"),
    [
        (None, 0, Take(BEGUN)),
        (EARLIER, 300, Renew(EARLIER.renew(now=NOW))),
        (EARLIER, -1, Renew(EARLIER.renew(now=NOW))),
        (make_lease(ttl=TEN, acquired_at="2026-11-22T07:00:00Z"), 300, Renew(BEGUN)),
        (OTHERS, 0.1, WaitFor(OTHERS, 0.1)),
        (OTHERS, 0, TakeOver(BEGUN, OTHERS)),
        (OTHERS, -100, TakeOver(BEGUN, OTHERS)),
        (
            make_lease(holder=DagRun(US.dag_id, "manual__2")),
            1,
            WaitFor(make_lease(holder=DagRun(US.dag_id, "manual__2")), 1),
        ),
    ],
    ids=[
        "free",
        "own",
        "own, though long unrenewed",
        "own, with another ttl",
        "held",
        "just expired",
        "long expired",
        "held by another run of the same Dag",
    ],
)
def test_who_may_have_the_lease(standing, remaining, act):
    """Anyone if it is free, one's own, or expired; one's own lease keeps its beginning."""
    assert plan_acquisition(standing, REQUEST, remaining=remaining, now=NOW) == act
