"""Waits that must look again: tiers that change unseen, a Consul that lost its data, nodes with odd names."""

from __future__ import annotations

import asyncio
import shutil
import threading
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import read_tier
from airflow_provider_chefconsul.consul.tier_wait import TierWait
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import begin_waits, wait_for_tiers
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, ServiceMembers
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Waiting
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import (
    make_assignment,
    make_desired,
    make_failure,
    make_members,
    make_policy,
    make_report,
    make_ticket,
)
from tests.support.peer import Answer, Peer, Request, forward_to
from tests.support.progress import PATIENCE, Lines

TIERS = ("app", "web")
SELECTORS = {tier: ServiceMembers(tier) for tier in TIERS}


def connect(port: int, root: str, *, retry_for: float = 0) -> ConsulClient:
    """A client of the Consul behind that port."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, root=root), retry_for=timedelta(seconds=retry_for))


@pytest.fixture
def tiers(consul_kv, members):
    """Tiers web and app of one node each at generation 7, without reports; returns a function that reports."""
    for tier in TIERS:
        members(f"{tier}-1", tier=tier)
        consul_kv[f"demo/{tier}/desired"] = make_desired(7).to_json()

    def report(tier: str, make=make_report, **overrides: object) -> None:
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = make(f"{tier}-1", tier=tier, **overrides).to_json()

    return report


# Several tiers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["superseded", "failed"])
async def test_tier_that_changes_unseen(cluster, consul_root, consul_kv, tiers, what):
    """It has converged, then changes unseen; when the other tier has converged, all are read again."""
    forward, is_held, release = forward_to(cluster.http_port), threading.Event(), threading.Event()

    def hold_news_of_web(request: Request) -> Answer:
        if request.path.endswith("/demo/web/") and "index" in request.query:
            is_held.set()
            release.wait(PATIENCE)
        return forward(request)

    tiers("web")
    lines = Lines()
    with Peer(hold_news_of_web) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Wait(7, datetime.now(UTC) + timedelta(seconds=PATIENCE))
            waiting = asyncio.create_task(
                wait_for_tiers(
                    SharedView(client),
                    "demo",
                    dict.fromkeys(TIERS, wait),
                    SELECTORS,
                    make_policy(),
                    on_progress=lines.add,
                )
            )
            await lines.until("demo/web generation 7: 1 of 1 members converged")
            assert await asyncio.to_thread(is_held.wait, PATIENCE)
            if what == "superseded":
                consul_kv["demo/web/desired"] = make_desired(8).to_json()
            else:
                tiers("web", make_failure)
            tiers("app")
            results = await waiting
            release.set()
    assert isinstance(results["web"].verdict, Failed)
    assert what in results["web"].verdict.reason
    assert isinstance(results["app"].verdict, Converged)


async def test_tier_that_nobody_can_see_any_more(cluster, consul_root, tiers):
    """Its earlier convergence is no verdict."""
    forward, is_away = forward_to(cluster.http_port), threading.Event()

    def hide_web(request: Request) -> Answer | None:
        hidden = b"/demo/web/" in request.body or "/demo/web/" in request.path
        return None if is_away.is_set() and hidden else forward(request)

    tiers("web")
    lines = Lines()
    with Peer(hide_web) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Wait(7, datetime.now(UTC) + timedelta(seconds=PATIENCE))
            waiting = asyncio.create_task(
                wait_for_tiers(
                    SharedView(client),
                    "demo",
                    dict.fromkeys(TIERS, wait),
                    SELECTORS,
                    make_policy(),
                    until=datetime.now(UTC) + timedelta(seconds=8),
                    on_progress=lines.add,
                )
            )
            await lines.until("demo/web generation 7: 1 of 1 members converged")
            is_away.set()
            tiers("app")
            results = await waiting
    assert not isinstance(results["web"].verdict, Converged)
    assert results["web"].wait.holding_since is None


async def test_all_tiers_that_have_converged(view, tiers):
    """Looking again changes nothing if nothing has changed."""
    tiers("web")
    tiers("app")
    wait = Wait(7, datetime.now(UTC) + timedelta(seconds=PATIENCE))
    results = await wait_for_tiers(view, "demo", dict.fromkeys(TIERS, wait), SELECTORS, make_policy())
    assert all(isinstance(result.verdict, Converged) for result in results.values())


async def test_tiers_that_have_converged_at_different_moments(cluster, consul_root, consul_kv, tiers):
    """One is superseded after all have been looked at again, and just before they are compared at a single moment."""
    forward = forward_to(cluster.http_port)

    def answer(request: Request) -> Answer:
        if request.path == "/v1/txn" and b"/demo/app/desired" in request.body:
            consul_kv["demo/app/desired"] = make_desired(8).to_json()
        return forward(request)

    tiers("web")
    tiers("app")
    with Peer(answer) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Wait(7, datetime.now(UTC) + timedelta(seconds=PATIENCE))
            results = await wait_for_tiers(
                SharedView(client), "demo", dict.fromkeys(TIERS, wait), SELECTORS, make_policy()
            )
    assert isinstance(results["app"].verdict, Failed)
    assert "superseded" in results["app"].verdict.reason


# Evidence that is kept ------------------------------------------------------------------------------------------------


async def test_same_index_with_another_value_is_another_document(client):
    """Parsed documents are cached by value."""
    keys = Keys("root")
    desired = Entry(keys.desired("demo", "web"), make_desired(7).to_json().encode(), 41)
    key = keys.report("demo", "web", "web-1")
    entries = {
        status: Entry(key, make_report(status=status).to_json().encode(), 42)
        for status in (Status.SUCCEEDED, Status.FAILED)
    }

    async def read(*found, last=None):
        return await read_tier(client, keys, "demo", "web", [desired, *found], last=last)

    first = await read(entries[Status.SUCCEEDED])
    assert await read(entries[Status.SUCCEEDED], last=first) is first
    second = await read(entries[Status.FAILED], last=first)
    assert second.evidence["web-1"].report == make_report(status=Status.FAILED)
    assert (await read(last=first)).evidence == {}


async def test_news_of_tickets_is_apart_from_what_waits_look_at(client):
    """A renewal is no news, and no ticket makes a wait look at its nodes again."""
    keys = Keys("root")
    desired = Entry(keys.desired("demo", "web"), make_desired(7).to_json().encode(), 41)
    report = Entry(keys.report("demo", "web", "web-1"), make_report().to_json().encode(), 42)
    key = keys.slot("demo", "web", "web-2")

    async def read(*found, last=None):
        return await read_tier(client, keys, "demo", "web", [desired, report, *found], last=last)

    def entry(index, **overrides):
        return Entry(key, make_ticket("web-2", **overrides).to_json().encode(), index)

    first = await read(entry(43))
    assert first.tickets == {"web-2": make_ticket("web-2")}
    for renewals in (1, 2):
        assert await read(entry(43 + renewals, renewals=renewals), last=first) is first  # nobody is woken
    held = await read(entry(46, held_since="2026-11-22T08:00:02Z"), last=first)
    assert held.tickets["web-2"].is_held
    spoilt = await read(Entry(key, b"?", 47), last=held)
    assert isinstance(spoilt.tickets["web-2"], Unreadable)
    gone = await read(last=spoilt)
    assert gone.tickets == {}
    assert all(each.evidence is first.evidence for each in (held, spoilt, gone))
    assert await read(last=gone) is gone


async def test_consul_that_comes_back_empty(make_cluster):
    """Then the same key at the same index may hold another value."""
    cluster = make_cluster(in_memory=False)
    url, root = cluster.server.url, "chefconsul/demo"
    forward, is_away = forward_to(cluster.http_port), threading.Event()

    async def put(http: httpx.AsyncClient, key: str, value: str) -> int:
        (await http.put(f"/v1/kv/{key}", content=value)).raise_for_status()
        return int((await http.get(f"/v1/kv/{key}")).json()[0]["ModifyIndex"])

    with Peer(lambda request: None if is_away.is_set() else forward(request)) as peer:
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False) as http,
            connect(peer.port, "chefconsul", retry_for=PATIENCE) as client,
            aclosing(SharedView(client).watch("demo", "web", ListedMembers(("server",)))) as watch,
        ):
            for number in range(100):
                await put(http, "filler", str(number))
            await put(http, f"{root}/web/desired", make_desired(7).to_json())
            index = await put(http, f"{root}/web/nodes/web-1", make_report().to_json())
            async with asyncio.timeout(PATIENCE):
                while not (seen := (await anext(watch)).evidence):
                    pass
            assert seen["web-1"].report.status is Status.SUCCEEDED
            is_away.set()
            cluster.kill_server()
            shutil.rmtree(cluster.server.log.parent / "data")
            await asyncio.to_thread(cluster.restart_server)
            await put(http, f"{root}/web/desired", make_desired(7).to_json())
            last = 0
            while last < index - 1:  # Consul itself writes now and then
                last = await put(http, "filler", str(last))
            again = await put(http, f"{root}/web/nodes/web-1", make_failure().to_json())
            is_away.clear()
            async with asyncio.timeout(PATIENCE):
                while (await anext(watch)).evidence["web-1"].report.status is not Status.FAILED:
                    pass
    assert again >= index


# Nodes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_gateway-7", "host (old)", "höst"])
async def test_node_with_a_name_that_cannot_report(view, consul_kv, members, name):
    """It is a member that never reports; the tier can still be read."""
    members(name)
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    async with aclosing(view.watch("demo", "web", ServiceMembers("web"))) as watch:
        assert list((await anext(watch)).members) == [name]
    assert list((await view.snapshot("demo", "web", ServiceMembers("web"), known=(name, "_gone"))).members) == [
        name,
        "_gone",
    ]


async def test_node_that_reported_and_whose_service_is_gone(view, consul_kv, members):
    """If its report is about the current assignment, it is a member unless its machine is gone, too."""
    members("web-1")
    members("web-2", "web-3", tier="other")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2", status=Status.RUNNING).to_json()
    consul_kv["demo/web/nodes/web-3"] = make_report("web-3", generation=6).to_json()
    consul_kv["demo/web/nodes/web-4"] = make_report("web-4").to_json()
    snapshot = await view.snapshot("demo", "web", ServiceMembers("web"))
    assert list(snapshot.members) == ["web-1", "web-2"]
    async with aclosing(view.watch("demo", "web", ServiceMembers("web"))) as watch:
        assert list((await anext(watch)).members) == ["web-1", "web-2"]
    other = await view.snapshot("demo", "web", ServiceMembers("other"))
    assert list(other.members) == ["web-2", "web-3"]


async def test_unknown_names_are_refused_when_the_wait_begins(view, consul_kv, members):
    """With the nearest name; a node that has reported is known."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2").to_json()

    async def begin(*names: str):
        selectors = {"web": ListedMembers(names)}
        return await begin_waits(
            view, "demo", ["web"], generations=None, timeout=timedelta(seconds=1), selectors=selectors
        )

    assert list(await begin("web-1", "web-2")) == ["web"]
    with pytest.raises(InvalidInput, match="members of demo/web: Consul lists no node 'WEB-1', did you mean 'web-1'?"):
        await begin("WEB-1")


async def test_wait_is_for_the_assignment_when_it_began(view, consul_kv, members):
    """If the generation recurs before the first look, it is another assignment."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7, stable=make_assignment(7, id="a1")).to_json()
    waits = await begin_waits(view, "demo", ["web"], generations={"web": 7}, timeout=timedelta(seconds=PATIENCE))
    consul_kv["demo/web/desired"] = make_desired(7, stable=make_assignment(7, id="b2")).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", id="b2").to_json()
    verdict = (await wait_for_tiers(view, "demo", waits, SELECTORS, make_policy()))["web"].verdict
    assert isinstance(verdict, Failed)
    assert "is no longer the one waited for" in verdict.reason


async def test_look_that_differs_from_the_watch_is_made_again(view, consul_kv, members, monkeypatch):
    """A brief change that the watch missed does not leave the wait asleep."""
    monkeypatch.setattr("airflow_provider_chefconsul.consul.tier_wait._AGAIN", timedelta(0))
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    has_news = asyncio.Event()
    wait = Wait(7, datetime.now(UTC) + timedelta(hours=1))
    part = TierWait(
        view,
        "demo",
        "web",
        SELECTORS["web"],
        wait=wait,
        policy=make_policy(),
        on_progress=str,
        on_result=has_news.set,
    )
    running = asyncio.create_task(part.run(None))
    try:
        async with asyncio.timeout(PATIENCE):
            await has_news.wait()
            assert isinstance(part.result.verdict, Converged)
            assert part.confirm(TierSnapshot(make_desired(7), make_members(absent=["web-1"])), part.result)
            assert isinstance(part.result.verdict, Waiting)
            while not isinstance(part.result.verdict, Converged):
                has_news.clear()
                await has_news.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
