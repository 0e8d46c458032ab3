"""What all clients, watches and waits of an event loop share, counted in front of Consul."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from types import TracebackType

import pytest

from airflow_provider_chefconsul.consul.http import transport
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.tiers_watch import watch_tiers
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.watching import catalog_watch, prefix_watch
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from tests.support.factory import make_desired, make_policy, make_report
from tests.support.peer import Peer, Request, forward_to
from tests.support.progress import PATIENCE, Lines
from tests.support.relay import Relay

MOST = 10  # connections, whatever is watched
TIERS = [f"tier{number}" for number in range(40)]


def connect(port: int, root: str, *, retry_for: float = 5) -> ConsulClient:
    """A client of the Consul behind that port."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, root=root), retry_for=timedelta(seconds=retry_for))


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def relay(cluster):
    """Counts connections."""
    async with Relay(cluster.http_port) as relay:
        yield relay


@pytest.fixture
def tiers(consul_kv, members):
    """Forty tiers of one node each at generation 7; returns a function that reports for a tier."""
    for tier in TIERS:
        members(f"{tier}-1", tier=tier)
        consul_kv[f"demo/{tier}/desired"] = make_desired(7).to_json()

    def report(tier: str, **overrides: object) -> None:
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = make_report(f"{tier}-1", tier=tier, **overrides).to_json()

    return report


# Connections ----------------------------------------------------------------------------------------------------------


async def test_requests_at_once_take_turns(relay, consul_root):
    """None fails for lack of a connection; clients with the same settings share connections."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(relay.port, consul_root)) for _ in range(50)]
        await asyncio.gather(*(client.get(f"{consul_root}/a") for client in clients * 4))
        assert relay.peak <= 4
        await clients[0].close()
        await clients[1].get(f"{consul_root}/a")
    await eventually(lambda: relay.now == 0)


async def test_other_settings_are_other_connections(relay, consul_root):
    """Requests with another token must not use this one."""
    async with connect(relay.port, consul_root) as one, ConsulClient(
        ConsulSettings("127.0.0.1", relay.port, root=consul_root, token="other")
    ) as other:  # fmt: skip
        await one.get(f"{consul_root}/a")
        await other.get(f"{consul_root}/a")
        assert relay.now == 2


async def test_many_waits_share_their_queries(relay, consul_root, tiers):
    """Like deferred waits in a triggerer, each with its own connection, as in Airflow."""
    lines = Lines()

    async def wait(tier: str):
        async with connect(relay.port, consul_root) as client:
            deadline = datetime.now(UTC) + timedelta(seconds=120)
            selectors = {tier: ServiceMembers(tier)}
            return await wait_for_tiers(
                SharedView(client), "demo", {tier: Wait(7, deadline)}, selectors, make_policy(), on_progress=lines.add
            )

    waits = [asyncio.create_task(wait(tier)) for tier in TIERS * 5]
    await eventually(lambda: len(lines) >= len(waits))
    for tier in TIERS:
        tiers(tier)
    results = await asyncio.gather(*waits)
    assert all(isinstance(result.verdict, Converged) for each in results for result in each.values())
    assert relay.peak <= MOST
    assert not any("trying again" in line for line in lines)


async def test_waits_in_many_environments_share_their_queries(relay, consul_root, consul_kv, members):
    """One connection for each would soon be too many."""
    environments = [f"demo{number}" for number in range(20)]
    members("web-1")
    for environment in environments:
        consul_kv[f"{environment}/web/desired"] = make_desired(7).to_json()
    web, lines = {"web": ServiceMembers("web")}, Lines()
    async with connect(relay.port, consul_root) as client:
        wait = Wait(7, datetime.now(UTC) + timedelta(seconds=120))
        waits = [
            asyncio.create_task(
                wait_for_tiers(
                    SharedView(client), environment, {"web": wait}, web, make_policy(), on_progress=lines.add
                )
            )
            for environment in environments
        ]
        await eventually(lambda: len(lines) >= len(waits))
        for environment in environments:
            consul_kv[f"{environment}/web/nodes/web-1"] = make_report().to_json()
        results = await asyncio.gather(*waits)
    assert all(isinstance(result["web"].verdict, Converged) for result in results)
    assert relay.peak <= MOST


async def test_looking_again_reads_only_what_has_changed(cluster, consul_root, tiers):
    """A wait that has converged looks once more; where Consul's indexes are the same, that reads nothing."""
    tiers("tier0")
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client:
            view, selector = SharedView(client), ServiceMembers("tier0")

            def reads() -> tuple[int, int]:
                paths = [request.path for request in peer.requests if "keys" not in request.query]
                return tuple(sum(part in path for path in paths) for part in ("/demo/tier0/", "/catalog/service/tier0"))

            async with aclosing(view.watch("demo", "tier0", selector)) as watch:
                first = await anext(watch)
                assert await view.look("demo", "tier0", selector, known=()) == first
                assert reads() == (1, 1)
                tiers("tier0", state="off")
                again = await view.look("demo", "tier0", selector, known=())
                assert again.evidence["tier0-1"].report.state == "off"
                assert reads()[1] == 1


@pytest.mark.parametrize("named", [TIERS, None], ids=["named", "all"])
async def test_many_tiers_are_seen_at_once(relay, consul_root, tiers, named):
    """However they are watched; no connection is refused."""
    async with connect(relay.port, consul_root) as client:
        for tier in TIERS:  # watchers of all tiers find them by their history
            await client.kv.put(f"{consul_root}/demo/_history/{tier}/000000000007", make_desired(7).to_json())
        async with aclosing(watch_tiers(SharedView(client), "demo", named, "service")) as watch:
            async with asyncio.timeout(PATIENCE):
                while len(seen := (await anext(watch)).snapshots) < len(TIERS):
                    pass
            assert all(snapshot.members for snapshot in seen.values())
            tiers("tier39")
            async with asyncio.timeout(PATIENCE):
                while not (await anext(watch)).snapshots["tier39"].evidence:
                    pass
    assert relay.peak <= MOST


async def test_latecomer_sees_the_current_state(view, consul_kv, members):
    """Not what the others saw last."""
    members("web-1")
    web = ServiceMembers("web")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    async with aclosing(view.watch("demo", "web", web)) as first:
        await anext(first)
        for generation in range(8, 20):
            consul_kv["demo/web/desired"] = make_desired(generation).to_json()
            async with aclosing(view.watch("demo", "web", web)) as late:
                assert (await anext(late)).desired.generation == generation


async def test_fifth_tier_makes_one_watch_of_all(cluster, consul_root, tiers):
    """Earlier watchers stay subscribed; when all have left, nothing remains."""
    before = asyncio.all_tasks()
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client, AsyncExitStack() as stack:
            view = SharedView(client)
            watches = []
            for tier in TIERS[:6]:
                watches.append(
                    await stack.enter_async_context(aclosing(view.watch("demo", tier, ServiceMembers(tier))))
                )
                await anext(watches[-1])
            tiers("tier0")
            async with asyncio.timeout(PATIENCE):
                assert (await anext(watches[0])).evidence
                await watches[5].aclose()
                tiers("tier1")
                assert (await anext(watches[1])).evidence
        prefixes = {request.path for request in peer.requests if "keys" in request.query and "index" in request.query}
    assert f"/v1/kv/{consul_root}/demo/" in prefixes
    assert asyncio.all_tasks() == before


async def test_many_who_block_for_the_same_share_one_query(relay, consul_root, consul_kv):
    """As when many Dag runs wait for one lease; each gets an answer within its own time."""
    consul_kv["lease"] = "1"
    async with connect(relay.port, consul_root) as client:
        key = f"{consul_root}/lease"
        index, _ = await client.look(key)
        waits = [asyncio.create_task(client.look(key, index=index)) for _ in range(100)]
        await asyncio.wait(waits, timeout=0.5)
        impatient = await client.look(key, index=index, wait=timedelta(seconds=0.1))
        assert impatient[1].value == b"1"
        waits.pop(0).cancel()
        consul_kv["lease"] = "2"
        found = await asyncio.gather(*waits)
        assert {entry.value for _, entry in found} == {b"2"}
    assert relay.peak <= 4 + 1


async def test_queries_that_block_take_turns_when_they_are_too_many(relay, consul_root, consul_kv, monkeypatch):
    """As with many remote executions, each of which watches its own keys.

    None gives up while it waits for its turn, however busy the machine is: its connection would be closed, and counted
    for a while beside the next one.
    """
    monkeypatch.setattr(transport, "_GRACE", 60.0)
    async with connect(relay.port, consul_root) as client:
        index, _ = await client.look(f"{consul_root}/a")
        wait = timedelta(seconds=0.2)
        await asyncio.gather(*(client.look(f"{consul_root}/{number}", index=index, wait=wait) for number in range(200)))
    assert relay.peak <= 64 + 4


async def test_consul_that_refuses_connections_names_the_setting(make_cluster):
    """A reset connection looks like an outage."""
    cluster = make_cluster()
    with IdleConnections(cluster.http_port, 200):
        async with connect(cluster.http_port, "chefconsul", retry_for=0) as client:
            with pytest.raises(ConsulUnavailable, match="limits.http_max_conns_per_client"):
                await client.leader()


class IdleConnections:
    """This many idle connections to a loopback port."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


# Abandoned queries ----------------------------------------------------------------------------------------------------


def blocking(requests: list[Request]) -> list[tuple[str, str]]:
    """The paths and waits of the blocking queries."""
    return [(request.path, request.query["wait"][0]) for request in requests if "index" in request.query]


async def test_short_wait_leaves_no_query_behind(cluster, consul_root, tiers, monkeypatch):
    """An abandoned blocking query counts among an address's connections until it ends: so none is sent at first."""
    for watch in (catalog_watch, prefix_watch):
        monkeypatch.setattr(watch, "_SETTLE", PATIENCE)
    tiers("tier0")
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Wait(7, datetime.now(UTC) + timedelta(seconds=120))
            result = await wait_for_tiers(
                SharedView(client), "demo", {"tier0": wait}, {"tier0": ServiceMembers("tier0")}, make_policy()
            )
    assert isinstance(result["tier0"].verdict, Converged)
    assert blocking(peer.requests) == []


async def test_queries_block_for_longer_by_and_by(cluster, consul_root, tiers):
    """So that one that is soon abandoned also ends soon."""
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client, asyncio.TaskGroup() as group:
            watch = SharedView(client).watch("demo", "tier0", ServiceMembers("tier0"))

            async def follow() -> None:
                async with aclosing(watch):
                    async for _ in watch:
                        pass

            following = group.create_task(follow())
            path = f"/v1/kv/{consul_root}/demo/tier0/"
            await eventually(lambda: (path, "4.000s") in blocking(peer.requests))
            following.cancel()
        waits = [wait for each, wait in blocking(peer.requests) if each == path]
    assert waits == ["1.000s", "2.000s", "4.000s"]


@pytest.mark.parametrize("settings", [{}, {"min_healthy_time": timedelta(minutes=10)}], ids=["met", "to be held"])
async def test_wait_does_not_spin(cluster, consul_root, tiers, settings):
    """One of two tiers has converged: it just waits for the other."""
    tiers("tier0")
    lines = Lines()
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Wait(7, datetime.now(UTC) + timedelta(hours=2))
            selectors = {tier: ServiceMembers(tier) for tier in ("tier0", "tier1")}
            waiting = asyncio.create_task(
                wait_for_tiers(
                    SharedView(client),
                    "demo",
                    dict.fromkeys(selectors, wait),
                    selectors,
                    make_policy(**settings),
                    on_progress=lines.add,
                )
            )
            await lines.until("demo/tier0 generation 7: 1 of 1")
            await lines.until("demo/tier1 generation 7: 0 of 1")
            await asyncio.wait({waiting}, timeout=3)
            waiting.cancel()
            await asyncio.wait({waiting})
    assert len(peer.requests) < 60  # seventy a second and tier were seen


class Impatient(Wait):
    """A wait that always says that its verdict may change now."""

    def next_moment(self, *_: object, **__: object) -> datetime:
        """A time in the past."""
        return datetime.fromtimestamp(0, UTC)


async def test_wait_cannot_be_made_to_spin(cluster, consul_root, tiers):
    """Whatever its next moment is."""
    with Peer(forward_to(cluster.http_port)) as peer:
        async with connect(peer.port, consul_root) as client:
            wait = Impatient(7, datetime.now(UTC) + timedelta(seconds=3))
            await wait_for_tiers(
                SharedView(client), "demo", {"tier0": wait}, {"tier0": ServiceMembers("tier0")}, make_policy()
            )
    assert len(peer.requests) < 100


# Behind a load balancer -----------------------------------------------------------------------------------------------


async def test_queries_that_are_cut_are_no_outage(cluster, consul_root, tiers):
    """The policy keeps holding for longer than the load balancer lets a request idle."""
    tiers("tier0")
    lines = Lines()
    async with (
        Relay(cluster.http_port, cut_after=1.3) as relay,
        connect(relay.port, consul_root, retry_for=0) as client,
    ):
        wait = Wait(7, datetime.now(UTC) + timedelta(seconds=120))
        result = await wait_for_tiers(
            SharedView(client),
            "demo",
            {"tier0": wait},
            {"tier0": ServiceMembers("tier0")},
            make_policy(min_healthy_time=timedelta(seconds=4)),
            on_progress=lines.add,
        )
    assert isinstance(result["tier0"].verdict, Converged)
    assert relay.cuts > 0
    assert lines == [
        "demo/tier0 generation 7: 1 of 1 members converged; this must hold for 0:00:04",
        "demo/tier0 generation 7: 1 of 1 members converged",
    ]


async def test_wait_of_the_connection_is_kept_to(cluster, consul_root, tiers):
    """With a short enough wait, nothing is ever cut."""
    async with Relay(cluster.http_port, cut_after=2.5) as relay:
        settings = ConsulSettings("127.0.0.1", relay.port, root=consul_root, wait=timedelta(seconds=1))
        async with ConsulClient(settings) as client:
            watch = SharedView(client).watch("demo", "tier0", ServiceMembers("tier0"))
            async with aclosing(watch):
                await anext(watch)
                waiting = asyncio.ensure_future(anext(watch))
                await asyncio.wait({waiting}, timeout=5)
                tiers("tier0")
                async with asyncio.timeout(PATIENCE):
                    assert (await waiting).evidence
        assert relay.cuts == 0


# What is kept ---------------------------------------------------------------------------------------------------------


async def test_unreadable_documents_that_change_keep_no_memory(view, consul_kv, members):
    """Cached errors hold no tracebacks, and so no earlier values."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()

    def live(kind: type) -> int:
        gc.collect()
        return sum(type(each) is kind for each in gc.get_objects())

    async with aclosing(view.watch("demo", "web", ServiceMembers("web"))) as watch:

        async def rewrite(number: int) -> None:
            consul_kv["demo/web/nodes/web-1"] = f"{{ {number}" + "x" * 1000
            async with asyncio.timeout(PATIENCE):
                while True:
                    evidence = (await anext(watch)).evidence.get("web-1")
                    if evidence is not None and evidence.modify_index > seen[-1]:
                        break
            seen.append(evidence.modify_index)
            assert isinstance(evidence.report, Unreadable)

        seen = [0]
        await rewrite(0)
        before = live(Unreadable), live(TracebackType), live(Entry)
        for number in range(1, 20):
            await rewrite(number)
        after = live(Unreadable), live(TracebackType), live(Entry)
    assert all(late <= early + 4 for early, late in zip(before, after, strict=True)), (before, after)
