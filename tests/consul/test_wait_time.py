"""Waiting for tiers on a real Consul: min_healthy_time and progress_deadline."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from airflow_provider_chefconsul.consul.tier_wait import WaitResult
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Waiting
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.support.factory import make_desired, make_policy, make_report
from tests.support.progress import Lines

HOLD = timedelta(seconds=1)
HELD = "2 of 2 members converged; this must hold for 0:00:01"


@pytest.fixture
def report(consul_kv, members):
    """Tier web of two members at generation 7, nobody has reported; returns who reports for them."""
    members("web-1", "web-2")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()

    def report(node: str, **overrides: object) -> None:
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node, **overrides).to_json()

    return report


async def wait_for(view, lines=None, *, wait=None, seconds: float = 120, until=None, **demands) -> WaitResult:
    """Wait for tier web at generation 7."""
    wait = wait or Wait(7, datetime.now(UTC) + timedelta(seconds=seconds))
    results = await wait_for_tiers(
        view,
        "demo",
        {"web": wait},
        {"web": ServiceMembers("web")},
        make_policy(**demands),
        until=until,
        on_progress=lines.add if lines is not None else lambda line: None,
    )
    return results["web"]


async def test_policy_holds(view, report):
    """Nothing else changes, and after min_healthy_time the tier has converged."""
    report("web-1")
    report("web-2")
    lines, began = Lines(), monotonic()
    result = await wait_for(view, lines, min_healthy_time=HOLD)
    assert isinstance(result.verdict, Converged)
    assert monotonic() - began >= HOLD.total_seconds()
    assert lines == [f"demo/web generation 7: {HELD}", "demo/web generation 7: 2 of 2 members converged"]


async def test_break_starts_the_time_again(view, report, consul_kv):
    """A node that was briefly gone was not there all the time."""
    report("web-1")
    report("web-2")
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, lines, min_healthy_time=HOLD))
    await lines.until(HELD)
    report("web-2", generation=6)
    await lines.until("1 of 2 members converged, 1 old_generation (web-2)")
    again = monotonic()
    report("web-2")
    assert isinstance((await waiting).verdict, Converged)
    assert monotonic() - again >= HOLD.total_seconds()
    assert sum(HELD in line for line in lines) == 2


async def test_unhealthy_service_holds_the_wait_up(view, report, service_check):
    """All nodes have converged, but the wait lasts until the service's check passes."""
    service_check("web-2", "critical")
    report("web-1")
    report("web-2")
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, lines, min_healthy_time=HOLD))
    await lines.until("1 of 2 members converged, 1 unhealthy (web-2)")
    await asyncio.wait({waiting}, timeout=1.5 * HOLD.total_seconds())
    assert not waiting.done()
    service_check("web-2", "passing")
    assert isinstance((await waiting).verdict, Converged)


async def test_unhealthy_service_does_not_matter_by_default(view, report, service_check):
    """Without a min_healthy_time, only the nodes' reports count."""
    service_check("web-2", "critical")
    report("web-1")
    report("web-2")
    assert isinstance((await wait_for(view)).verdict, Converged)


async def test_progress_deadline_names_who_is_slow(view, report):
    """Each node that converges gives the others more time; then the wait fails, long before its timeout."""
    lines, began = Lines(), monotonic()
    waiting = asyncio.create_task(wait_for(view, lines, progress_deadline=timedelta(seconds=1)))
    await lines.until("0 of 2")
    await asyncio.sleep(0.7)
    report("web-1")
    verdict = (await waiting).verdict
    assert isinstance(verdict, Failed)
    assert not verdict.is_timeout
    assert monotonic() - began >= 1.7
    assert verdict.reason == (
        "no further node converged within progress_deadline=0:00:01 (web-2): "
        "1 of 2 members present converged, 2 are needed"
    )
    assert verdict.status.by_standing[Standing.NOT_REPORTED] == ["web-2"]


async def test_deadline_ends_min_healthy_time(view, report):
    """There is a verdict at the deadline, even if the policy was met too late."""
    report("web-1")
    report("web-2")
    verdict = (await wait_for(view, seconds=1, min_healthy_time=timedelta(minutes=1))).verdict
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout
    assert "deadline passed: the policy has been met only since 20" in verdict.reason


async def test_time_goes_on_between_two_halves_of_a_wait(view, report):
    """Time held in the worker counts in the triggerer, since the wait remembers when it began."""
    report("web-1")
    report("web-2")
    until = datetime.now(UTC) + timedelta(seconds=0.5)
    result = await wait_for(view, until=until, min_healthy_time=HOLD)
    assert isinstance(result.verdict, Waiting)
    assert result.wait.holding_since is not None
    wait = Wait.from_fields(result.wait.to_fields())
    result = await wait_for(view, wait=wait, min_healthy_time=HOLD)
    assert isinstance(result.verdict, Converged)
    assert result.wait.holding_since == wait.holding_since
