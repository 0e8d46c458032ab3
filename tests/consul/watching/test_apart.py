"""Tiers that share a query with others, and one among them that is large or cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_chefconsul.consul.http import transport
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.watching import prefix_watch
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Verdict
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import RequestRejected
from tests.support.factory import make_desired, make_policy, make_report
from tests.support.peer import Answer, Peer, Request, forward_to
from tests.support.progress import PATIENCE, Lines

GOOD = [("prod", "web"), ("prod", "app"), ("staging", "web"), ("staging", "app")]
BAD = ("lab", "junk")


@pytest.fixture
def tiers(consul_kv, members):
    """Five tiers of one node each at generation 7; returns a function that reports for some."""
    for environment, tier in [*GOOD, BAD]:
        members(f"{tier}-1", tier=tier)
        consul_kv[f"{environment}/{tier}/desired"] = make_desired(7).to_json()

    def report(of: Sequence[tuple[str, str]]) -> None:
        for environment, tier in of:
            consul_kv[f"{environment}/{tier}/nodes/{tier}-1"] = make_report(f"{tier}-1", tier=tier).to_json()

    return report


def waits_for(client: ConsulClient, lines: Lines) -> list[asyncio.Task[Verdict]]:
    """A wait for each of the five tiers."""

    async def wait(environment: str, tier: str) -> Verdict:
        wait = Wait(7, datetime.now(UTC) + timedelta(seconds=PATIENCE))
        selectors = {tier: ServiceMembers(tier)}
        view, policy = SharedView(client), make_policy()
        found = await wait_for_tiers(view, environment, {tier: wait}, selectors, policy, on_progress=lines.add)
        return found[tier].verdict

    return [asyncio.create_task(wait(*of)) for of in [*GOOD, BAD]]


def connect(port: int, root: str, *, retry_for: float = 5) -> ConsulClient:
    """A client of the Consul behind that port."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, root=root), retry_for=timedelta(seconds=retry_for))


async def test_answer_that_is_too_large_fails_its_own_tier(cluster, consul_root, consul_kv, tiers, monkeypatch):
    """Somebody stores something else below a tier, while all are watched."""
    monkeypatch.setattr(transport, "_LARGEST_ANSWER", 1 << 20)
    lines = Lines()
    async with connect(cluster.http_port, consul_root) as client:
        waits = waits_for(client, lines)
        for environment, tier in [*GOOD, BAD]:
            await lines.until(f"{environment}/{tier} generation 7: 0 of 1")
        for number in range(3):
            consul_kv[f"lab/junk/other/{number}"] = "x" * 400_000
        with pytest.raises(RequestRejected, match="lab/junk/: the answer is larger than 1 MiB"):
            await waits[-1]
        tiers(GOOD)
        assert [type(each) for each in await asyncio.gather(*waits[:-1])] == [Converged] * len(GOOD)


async def test_tier_that_a_proxy_does_not_pass_on(cluster, consul_root, tiers):
    """Consul is unavailable for its waits alone, which try again by themselves."""
    tiers([*GOOD, BAD])
    forward, is_mended = forward_to(cluster.http_port), asyncio.Event()

    def answer(request: Request) -> Answer:
        is_bad = ("recurse" in request.query and "lab/junk" in request.path) or b"lab/junk" in request.body
        return Answer(502, "bad gateway") if is_bad and not is_mended.is_set() else forward(request)

    lines = Lines()
    with Peer(answer) as peer:
        async with connect(peer.port, consul_root, retry_for=1) as client:
            waits = waits_for(client, lines)
            assert [type(each) for each in await asyncio.gather(*waits[:-1])] == [Converged] * len(GOOD)
            await lines.until("lab/junk: ")
            (trouble,) = [line for line in lines if "trying again" in line]
            assert "502 bad gateway" in trouble
            is_mended.set()
            assert isinstance(await waits[-1], Converged)


async def test_large_tier_keeps_its_own_query(cluster, consul_root, consul_kv, tiers, monkeypatch):
    """A write to another tier does not read it again."""
    monkeypatch.setattr(prefix_watch, "_LARGE", 2)
    for number in range(1, 4):
        consul_kv[f"lab/junk/nodes/junk-{number}"] = make_report(f"junk-{number}", tier="junk").to_json()

    def reads(peer: Peer) -> int:
        return sum("recurse" in each.query and "lab/junk" in each.path for each in peer.requests)

    for order in ([BAD, *GOOD], [*GOOD, BAD]):  # it is there before the others, or comes last
        before = asyncio.all_tasks()
        with Peer(forward_to(cluster.http_port)) as peer:
            async with (
                connect(peer.port, consul_root) as client,
                AsyncExitStack() as stack,
                asyncio.timeout(PATIENCE),
            ):
                view, watches = SharedView(client), {}
                for of in [*order, ("test", "web")]:
                    watch = view.watch(*of, ServiceMembers(of[1]))
                    watches[of] = await stack.enter_async_context(aclosing(watch))
                    await anext(watches[of])
                await asyncio.sleep(0.5)
                earlier = reads(peer)
                for generation in range(8, 12):
                    consul_kv["prod/web/desired"] = make_desired(generation).to_json()
                    while (await anext(watches["prod", "web"])).desired.generation != generation:
                        pass
                assert reads(peer) == earlier
                consul_kv["lab/junk/desired"] = make_desired(generation + 1).to_json()
                while (await anext(watches[BAD])).desired.generation != generation + 1:
                    pass
                assert reads(peer) > earlier
        assert asyncio.all_tasks() == before
        consul_kv["lab/junk/desired"] = make_desired(7).to_json()


async def test_tiers_are_read_in_groups_of_bounded_size(cluster, consul_root, consul_kv, tiers, monkeypatch):
    """Whether their sizes are known yet or not; each has two entries here."""
    monkeypatch.setattr(prefix_watch, "_LARGE", 4)
    monkeypatch.setattr(prefix_watch, "_UNKNOWN", 2)
    tiers([*GOOD, BAD])
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client, asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
            view = SharedView(client)
            watches = [
                await stack.enter_async_context(aclosing(view.watch(*of, ServiceMembers(of[1])))) for of in [*GOOD, BAD]
            ]
            await asyncio.gather(*(anext(watch) for watch in watches))
            for generation in range(8, 11):
                consul_kv["prod/web/desired"] = make_desired(generation).to_json()
                while (await anext(watches[0])).desired.generation != generation:
                    pass
    assert {request.body.count(b"get-tree") for request in peer.requests if request.path == "/v1/txn"} == {2}
