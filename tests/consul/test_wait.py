"""Waiting for tiers on a real Consul, even if it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import WaitResult, begin_waits, wait_for_tiers
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, ServiceMembers
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Waiting
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import AccessDenied
from tests.support.acl_fixtures import UNKNOWN_TOKEN
from tests.support.factory import make_assignment, make_canary, make_desired, make_failure, make_policy, make_report
from tests.support.progress import Lines

LONG = 120  # seconds that no wait here should need, on however slow a machine
SHORT = 0.5  # seconds of a wait that is to run out


def connect(port: int, root: str = "chefconsul", *, retry_for: float = 0) -> ConsulClient:
    """A client of the Consul on that loopback port."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, root=root), retry_for=timedelta(seconds=retry_for))


def lasting(seconds: float, generation: int = 7) -> Wait:
    """A wait that begins now."""
    return Wait(generation, datetime.now(UTC) + timedelta(seconds=seconds))


async def wait_for(view: SharedView, *tiers: str, wait: Wait | None = None, **options: Any) -> dict[str, WaitResult]:
    """Wait for tiers with members by service."""
    wait = wait or lasting(LONG)
    selectors = {tier: ServiceMembers(tier) for tier in tiers}
    return await wait_for_tiers(
        view, "demo", dict.fromkeys(tiers, wait), selectors, options.pop("policy", make_policy()), **options
    )


@pytest.fixture
async def view(cluster, consul_root):
    """The view of the shared Consul below the test's own root."""
    async with connect(cluster.http_port, consul_root) as client:
        yield SharedView(client)


@pytest.fixture
def tiers(consul_kv, members):
    """Tiers web (two members) and app (one) at generation 7, without reports; returns a function that reports."""
    members("web-1", "web-2")
    members("app-1", tier="app")
    for tier in ("web", "app"):
        consul_kv[f"demo/{tier}/desired"] = make_desired(7).to_json()

    def report(node: str, make: Callable[..., Any] = make_report, **overrides: Any) -> None:
        tier = node.partition("-")[0]
        consul_kv[f"demo/{tier}/nodes/{node}"] = make(node, tier=tier, **overrides).to_json()

    return report


async def test_converged_already(view, tiers):
    """A tier that has converged is not waited for."""
    tiers("web-1")
    tiers("web-2")
    result = (await wait_for(view, "web"))["web"]
    assert isinstance(result.verdict, Converged)
    assert result.wait.seen_members == result.wait.seen_converged == {"web-1", "web-2"}


async def test_progress_is_logged_when_something_changes(view, tiers, consul_kv):
    """One line per change of a standing, none for a report that changes nothing."""
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", on_progress=lines.add))
    await lines.until("0 of 2")
    tiers("web-1")
    await lines.until("1 of 2")
    tiers("web-1", run_id="3040")
    tiers("web-2")
    assert isinstance((await waiting)["web"].verdict, Converged)
    assert lines == [
        "demo/web generation 7: 0 of 2 members converged, 2 not_reported (web-1, web-2)",
        "demo/web generation 7: 1 of 2 members converged, 1 not_reported (web-2)",
        "demo/web generation 7: 2 of 2 members converged",
    ]


async def test_progress_names_how_many_are_not_due(view, tiers, consul_kv):
    """They have a moment of their own to begin at, and are not late before it."""
    spread = make_assignment(pace=AssignmentPace(spread_over=10**9))
    now = datetime.now(UTC).isoformat()
    consul_kv["demo/web/desired"] = make_desired(7, stable=spread, written_at=now).to_json()
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", on_progress=lines.add))
    await lines.until("0 of 2 members converged, 2 not_reported (web-1, web-2); 2 not due yet")
    tiers("web-1")
    await lines.until("1 of 2 members converged, 1 not_reported (web-2); 1 not due yet")
    tiers("web-2")
    assert isinstance((await waiting)["web"].verdict, Converged)
    assert lines[-1] == "demo/web generation 7: 2 of 2 members converged"


async def test_several_tiers_must_all_converge(view, tiers):
    """The last one ends the wait."""
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", "app", on_progress=lines.add))
    tiers("app-1")
    await lines.until("demo/app generation 7: 1 of 1 members converged")
    assert not waiting.done()
    tiers("web-1")
    tiers("web-2")
    results = await waiting
    assert {tier: type(result.verdict) for tier, result in results.items()} == {"web": Converged, "app": Converged}


async def test_without_a_generation_every_assignment_is_waited_for(view, tiers, consul_kv):
    """Nodes outside a canary count, too; rolling the canary back ends the wait."""
    out = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    consul_kv["demo/web/desired"] = out.to_json()
    begin = partial(begin_waits, view, "demo", ["web"], generations=None, timeout=timedelta(seconds=LONG))
    wait = (await begin())["web"]
    assert wait.generations == {7, 8}
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", wait=wait, on_progress=lines.add))
    tiers("web-1", generation=8)
    await lines.until("1 of 2 members converged")
    tiers("web-2")
    assert isinstance((await waiting)["web"].verdict, Converged)
    promoted = replace(out, stable=out.canary.assignment, canary=None)
    consul_kv["demo/web/desired"] = promoted.to_json()
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", wait=wait, on_progress=lines.add))
    await lines.until("1 of 2 members converged")
    consul_kv["demo/web/desired"] = replace(out, canary=None).to_json()
    verdict = (await waiting)["web"].verdict
    assert isinstance(verdict, Failed)
    assert "was rolled back to generation 7" in verdict.reason


async def test_one_tier_that_fails_ends_the_wait_for_all(view, tiers):
    """Waiting for the others would be pointless."""
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", "app", on_progress=lines.add))
    await lines.until("demo/web generation 7: 0 of 2")
    tiers("app-1", make_failure)
    results = await waiting
    assert isinstance(results["web"].verdict, Waiting)
    assert isinstance(results["app"].verdict, Failed)
    assert results["app"].verdict.reason == "1 of 1 members present failed (app-1); max_failed=0 is spent"


@pytest.mark.parametrize("spoil", ["supersede", "delete", "garble"])
async def test_desired_state_that_changes_underneath_ends_the_wait(view, tiers, consul_kv, spoil):
    """After a newer generation, a deleted key or garbage, it cannot succeed."""
    lines = Lines()
    waiting = asyncio.create_task(wait_for(view, "web", on_progress=lines.add))
    await lines.until("0 of 2")
    match spoil:
        case "supersede":
            consul_kv["demo/web/desired"] = make_desired(8).to_json()
        case "delete":
            del consul_kv["demo/web/desired"]
        case "garble":
            consul_kv["demo/web/desired"] = "{"
    verdict = (await waiting)["web"].verdict
    assert isinstance(verdict, Failed)
    assert not verdict.is_timeout
    words = {"supersede": "superseded by generation 8", "delete": "no desired state", "garble": "web/desired: not JSON"}
    assert words[spoil] in verdict.reason


async def test_member_that_leaves_has_left(view, tiers, consul_kv):
    """It was seen during the wait, so with max_absent=0 the tier does not converge."""
    lines = Lines()
    waiting = asyncio.create_task(
        wait_for(view, "web", policy=make_policy(max_absent=0), on_progress=lines.add, wait=lasting(LONG))
    )
    await lines.until("0 of 2")
    tiers("web-1")
    consul_kv.client.catalog.deregister("web-2")
    await lines.until("1 of 2 members converged, 1 left (web-2)")
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_deadline(view, tiers):
    """The verdict names the nodes that held up the wait."""
    tiers("web-1")
    verdict = (await wait_for(view, "web", wait=lasting(SHORT)))["web"].verdict
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout
    assert verdict.reason == "deadline passed: 1 of 2 members present converged, 2 are needed"
    assert verdict.status.by_standing[Standing.NOT_REPORTED] == ["web-2"]


async def test_wait_resumed_after_its_deadline_looks_once(view, tiers):
    """The triggerer may have been down for longer: tiers that have converged by then count."""
    tiers("web-1")
    verdict = (await wait_for(view, "web", wait=lasting(-60)))["web"].verdict
    assert isinstance(verdict, Failed)
    assert verdict.reason == "deadline passed: 1 of 2 members present converged, 2 are needed"
    tiers("web-2")
    assert isinstance((await wait_for(view, "web", wait=lasting(-60)))["web"].verdict, Converged)


async def test_until_comes_back_with_what_was_seen(view, tiers):
    """Without a verdict, it returns a wait to continue with, which remembers the members seen."""
    tiers("web-1")
    until = datetime.now(UTC) + timedelta(seconds=SHORT)
    result = (await wait_for(view, "web", until=until))["web"]
    assert isinstance(result.verdict, Waiting)
    assert result.verdict.status.by_standing[Standing.NOT_REPORTED] == ["web-2"]
    assert (result.wait.seen_members, result.wait.seen_converged) == ({"web-1", "web-2"}, {"web-1"})
    tiers("web-2")
    result = (await wait_for(view, "web", wait=result.wait))["web"]
    assert isinstance(result.verdict, Converged)


async def test_until_after_the_deadline_is_the_deadline(view, tiers):
    """A wait never outlasts its deadline."""
    until = datetime.now(UTC) + timedelta(hours=1)
    verdict = (await wait_for(view, "web", wait=lasting(SHORT), until=until))["web"].verdict
    assert isinstance(verdict, Failed)
    assert verdict.is_timeout


async def test_until_without_an_answer_is_no_verdict(free_port):
    """Consul was unavailable throughout, and the deadline has not come."""
    lines = Lines()
    async with connect(free_port) as client:
        until = datetime.now(UTC) + timedelta(seconds=SHORT)
        result = (await wait_for(SharedView(client), "web", until=until, on_progress=lines.add))["web"]
    assert isinstance(result.verdict, Waiting)
    assert len(lines) == 1
    assert f"demo/web: http://127.0.0.1:{free_port} cannot be reached" in lines[0]
    assert "trying again until 20" in lines[0]


async def test_refused_token_is_not_waited_out(acl_consul):
    """Waiting does not grant a permission."""
    async with acl_consul.connect(UNKNOWN_TOKEN, "chefconsul") as client:
        with pytest.raises(AccessDenied, match="ACL not found"):
            await wait_for(SharedView(client), "web", "app")


# Consul goes away -----------------------------------------------------------------------------------------------------


async def put(cluster, key: str, document: str) -> None:
    """Write a key."""
    async with httpx.AsyncClient(base_url=cluster.server.url, trust_env=False) as http:
        (await http.put(f"/v1/kv/chefconsul/demo/web/{key}", content=document)).raise_for_status()


async def test_consul_restarted_in_the_middle(make_cluster):
    """The wait logs once that Consul is unavailable, and continues when it is back."""
    cluster = make_cluster(web=1, in_memory=False)
    await put(cluster, "desired", make_desired(7).to_json())
    lines = Lines()
    async with connect(cluster.http_port) as client:
        waiting = asyncio.create_task(wait_for(SharedView(client), "web", on_progress=lines.add))
        await lines.until("0 of 1")
        cluster.kill_server()
        await lines.until("trying again until")
        await asyncio.to_thread(cluster.restart_server)
        await put(cluster, "nodes/web-1", make_report().to_json())
        verdict = (await waiting)["web"].verdict
    assert isinstance(verdict, Converged)
    assert lines[-1] == "demo/web generation 7: 1 of 1 members converged"


async def test_consul_that_stays_away(make_cluster):
    """The deadline's message says why there is no verdict: the nodes may be fine."""
    cluster = make_cluster()
    await put(cluster, "desired", make_desired(7).to_json())
    lines = Lines()
    async with connect(cluster.http_port) as client:
        waiting = asyncio.create_task(
            wait_for_tiers(
                SharedView(client),
                "demo",
                {"web": lasting(2.5)},
                {"web": ListedMembers(("web-1",))},
                make_policy(),
                on_progress=lines.add,
            )
        )
        await lines.until("0 of 1")
        cluster.kill_server()
        result = (await waiting)["web"]
    assert isinstance(result.verdict, Failed)
    assert result.verdict.is_timeout
    assert result.verdict.reason.startswith(
        f"deadline passed: http://127.0.0.1:{cluster.http_port} cannot be reached: "
    )
    assert result.wait.seen_members == {"web-1"}
    assert len(lines) == 2
