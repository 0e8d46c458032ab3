"""The members of a tier, from a real catalog and real agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from airflow_provider_chefconsul.consul.catalog import check_names, read_members
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.watching.members import MembersSubscription, subscribed_to_members
from airflow_provider_chefconsul.consul.watching.topic import Viewer
from airflow_provider_chefconsul.domain.model.membership import (
    ListedMembers,
    Members,
    MetaMembers,
    Presence,
    ServiceMembers,
)
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_members

PATIENCE = 20  # seconds that a change may take to be noticed, on however slow a machine
WEB = ServiceMembers("web")
SELECTORS = (WEB, MetaMembers("tier", "web"), ListedMembers(("web-1", "web-2")))


@pytest.fixture
async def client(cluster):
    """A client of the shared Consul."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        yield client


def presences(members: Members) -> dict[str, Presence]:
    """By node, its presence."""
    return {node: member.presence for node, member in members.items()}


class MemberWatch:
    """A watch of members that a test can wait for."""

    def __init__(self, subscription: MembersSubscription, viewer: asyncio.Event) -> None:
        self._subscription = subscription
        self._viewer = viewer

    async def until(self, is_seen: Callable[[Members], bool]) -> Members:
        """Wait until the members satisfy this."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._viewer.clear()
                members = self._subscription.members(()) if self._subscription.nodes() is not None else None
                if members is not None and is_seen(members):
                    return members
                await self._viewer.wait()

    async def see(self, expected: Members) -> None:
        """Wait until these are the members."""
        await self.until(lambda members: presences(members) == presences(expected))


@asynccontextmanager
async def subscribed(client, selector, known: Collection[str] | None = ()) -> AsyncIterator[MemberWatch]:
    """Watch members."""
    viewer = Viewer()
    async with subscribed_to_members(client.settings, selector, known, viewer) as subscription:
        yield MemberWatch(subscription, viewer)


async def test_members_by_service(client, members):
    """The nodes with an instance of the service, and no others."""
    members("web-2", "web-1")
    members("app-1", tier="app")
    assert await read_members(client, WEB) == make_members("web-1", "web-2")
    assert await read_members(client, ServiceMembers("app")) == make_members("app-1")
    assert await read_members(client, ServiceMembers("db")) == {}


async def test_members_by_metadata(client, members):
    """The nodes with this metadata, whatever they serve; text with special characters in a URL works."""
    members("web-1", rack="r1", owner="a&b=c d/é")
    members("app-1", tier="app", rack="r1")
    members("web-2", rack="r2")
    owned = make_members("web-1", meta={"rack": "r1", "owner": "a&b=c d/é"})
    assert await read_members(client, MetaMembers("rack", "r1")) == owned | make_members("app-1", meta={"rack": "r1"})
    assert await read_members(client, MetaMembers("owner", "a&b=c d/é")) == owned
    assert await read_members(client, MetaMembers("rack", "r3")) == {}


async def test_members_by_name(client, members):
    """In the order of the list, including nodes that Consul does not know."""
    members("web-1", "web-2", "web-3")
    found = await read_members(client, ListedMembers(("web-2", "web-1", "web-9")))
    assert presences(found) == presences(make_members("web-2", "web-1")) | {"web-9": Presence.UNKNOWN}
    assert list(found) == ["web-2", "web-1", "web-9"]


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2", "web-3"))])
async def test_member_whose_agent_is_not_alive_is_absent(client, members, selector):
    """A node that never had an agent counts as present; only a critical agent check makes it absent."""
    members("web-1", check="passing", rack="r1")
    members("web-2", check="critical", rack="r1")
    members("web-3", check=None, rack="r1")
    expected = make_members("web-1", "web-3", absent=("web-2",), meta={"rack": "r1"})
    assert await read_members(client, selector) == expected


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2"))], ids=str)
async def test_member_without_an_agent_is_absent_when_its_watcher_says_so(client, members, plain_consul, selector):
    """As Consul ESM does for external nodes; the change wakes a waiter."""
    members("web-1", "web-2", rack="r1")
    async with subscribed(client, selector) as look:
        for status, absent in (("critical", ["web-2"]), ("passing", [])):
            check = {"CheckID": "externalNodeHealth", "Name": "Node Alive Status", "Status": status}
            entry = {"Node": "web-2", "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
            plain_consul.http.put(lambda answer: answer, "/v1/catalog/register", data=json.dumps(entry))
            present = [node for node in ("web-1", "web-2") if node not in absent]
            await look.see(make_members(*present, absent=absent))


def register_check(plain_consul, node: str, **check: str) -> None:
    """Register a check of a node in the catalog."""
    fields = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
    assert plain_consul.http.put(lambda answer: answer.code, "/v1/catalog/register", data=json.dumps(fields)) == 200


async def test_other_checks_do_not_affect_presence(client, members, plain_consul):
    """A service that is down for its upgrade, or a full disk, does not make its node absent."""
    members("web-1")
    register_check(plain_consul, "web-1", CheckID="service:web", Name="web", Status="critical", ServiceID="web")
    register_check(plain_consul, "web-1", CheckID="disk", Name="disk", Status="critical")
    assert await read_members(client, WEB) == make_members("web-1", unhealthy=("web is critical",))


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1",))], ids=str)
async def test_node_in_maintenance_is_unhealthy(client, members, plain_consul, selector):
    """However it was selected, as with Consul's own `?passing`; the change wakes a waiter."""
    members("web-1", rack="r1")
    async with subscribed(client, selector) as look:
        await look.until(lambda members: members["web-1"].unhealthy == ())
        maintenance = {"CheckID": "_node_maintenance", "Name": "Node Maintenance Mode", "Notes": "new disk"}
        register_check(plain_consul, "web-1", Status="critical", **maintenance)
        await look.until(lambda members: members["web-1"].unhealthy == ("in maintenance: new disk",))
    found = await read_members(client, selector)
    assert found["web-1"].unhealthy == ("in maintenance: new disk",)
    assert found["web-1"].is_present


async def test_service_in_maintenance_is_unhealthy(client, members, plain_consul):
    """With its reason, if it has one."""
    members("web-1")
    maintenance = {"CheckID": "_service_maintenance:web", "Name": "Service Maintenance Mode", "ServiceID": "web"}
    register_check(plain_consul, "web-1", Status="critical", Notes="upgrade", **maintenance)
    assert (await read_members(client, WEB))["web-1"].unhealthy == ("in maintenance: upgrade",)
    register_check(plain_consul, "web-1", Status="critical", **maintenance)
    assert (await read_members(client, WEB))["web-1"].unhealthy == ("in maintenance",)


@pytest.mark.parametrize(
    ("selector", "meta"),
    [
        (WEB, {"zone": "a", "rack": "r1"}),
        (MetaMembers("rack", "r1"), {"zone": "a", "rack": "r1"}),
        (ListedMembers(("web-1", "web-9")), {"zone": "a", "rack": "r1"}),
    ],
)
async def test_members_have_their_metadata(client, members, selector, meta):
    """However they are selected; empty for one without any, and for one that Consul does not know."""
    members("web-1", zone="a", rack="r1")
    members("web-2")
    found = await read_members(client, selector)
    assert {node: member.meta for node, member in found.items() if member.meta} == {"web-1": meta}


async def test_checks_of_the_service_that_do_not_pass(client, members, service_check):
    """Each by name and status, without other services' checks on the same node or passing ones."""
    members("web-1", "web-2", rack="r1")
    members("web-1", tier="app", rack="r1")
    for status, name in (("passing", "tcp"), ("warning", "disk"), ("critical", "http")):
        service_check("web-1", status, name=name)
    service_check("web-1", "critical", tier="app")
    found = await read_members(client, WEB)
    assert found["web-1"].is_present
    assert sorted(found["web-1"].unhealthy) == ["disk is warning", "http is critical"]
    assert found["web-2"].unhealthy == ()
    for selector in (ListedMembers(("web-1",)), MetaMembers("rack", "r1")):
        assert (await read_members(client, selector))["web-1"].unhealthy == ()
    service_check("web-1", "passing", name="disk")
    service_check("web-1", "passing", name="http")
    assert (await read_members(client, WEB))["web-1"].unhealthy == ()


async def test_check_of_the_service_wakes(client, members, service_check):
    """A tier's health can be waited for like its members."""
    members("web-1")
    async with subscribed(client, WEB) as look:
        await look.until(lambda members: members["web-1"].unhealthy == ())
        service_check("web-1", "critical")
        await look.until(lambda members: len(members["web-1"].unhealthy) == 1)


async def test_first_member_wakes(client, members):
    """A tier without members can be waited for."""
    async with subscribed(client, WEB) as look:
        await look.see({})
        members("web-1")
        await look.see(make_members("web-1"))


async def test_metadata_that_changes_wakes(client, members):
    """A server first registers a joining agent, which adds its metadata later."""
    async with subscribed(client, MetaMembers("rack", "r1")) as look:
        members("web-1")
        await look.see({})
        members("web-1", rack="r1")
        await look.see(make_members("web-1"))


async def test_watches_of_an_event_loop_share_what_they_read(client, members):
    """Many watches of one tier and of others share one set of queries, which ends with the last of them."""
    members("web-1")
    members("app-1", tier="app")
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        looks = [
            await stack.enter_async_context(subscribed(client, ServiceMembers(tier))) for tier in ("web", "app") * 20
        ]
        for look, node in zip(looks, ("web-1", "app-1") * 20, strict=True):
            await look.see(make_members(node))
        first, second = await looks[0].until(bool), await looks[2].until(bool)
        assert first is second
        assert len(asyncio.all_tasks() - before) < 10
    assert asyncio.all_tasks() == before


# What becomes of members ----------------------------------------------------------------------------------------------

RACK_SELECTORS = [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2"))]


@pytest.mark.parametrize("selector", RACK_SELECTORS, ids=str)
async def test_member_that_is_gone_from_the_catalog(client, members, plain_consul, selector):
    """It was a member, so it remains one, with presence gone."""
    members("web-1", "web-2", rack="r1")
    async with subscribed(client, selector) as look:
        await look.see(make_members("web-1", "web-2"))
        plain_consul.catalog.deregister("web-2")
        await look.until(lambda members: members["web-2"].presence is Presence.GONE)


async def test_member_that_is_gone_is_forgotten_unless_waited_for(client, members, plain_consul):
    """A board, or a watcher that runs for weeks, does not accumulate every node that ever existed."""
    members("web-1", "web-2")
    async with subscribed(client, WEB, None) as look:
        await look.see(make_members("web-1", "web-2"))
        plain_consul.catalog.deregister("web-2")
        await look.see(make_members("web-1"))


async def test_member_whose_service_is_gone(client, members, plain_consul):
    """While its agent is alive it remains a member; when the agent dies, it has failed."""
    members("web-1", "web-2")
    async with subscribed(client, WEB) as look:
        await look.see(make_members("web-1", "web-2"))
        plain_consul.catalog.deregister("web-2", service_id="web")
        await look.until(lambda members: "web-2" in members)
        assert list(await read_members(client, WEB)) == ["web-1"]
        register_check(plain_consul, "web-2", CheckID="externalNodeHealth", Name="alive", Status="critical")
        await look.until(lambda members: members["web-2"].presence is Presence.FAILED)
        register_check(plain_consul, "web-2", CheckID="externalNodeHealth", Name="alive", Status="passing")
        await look.see(make_members("web-1", "web-2"))


@pytest.mark.parametrize("selector", RACK_SELECTORS[:2], ids=str)
async def test_members_that_are_known_from_before(client, members, plain_consul, selector):
    """A listed node is a member, with the catalog's data."""
    members("web-1", rack="r1")
    members("old-1", "old-2", tier="old")
    register_check(plain_consul, "old-2", CheckID="externalNodeHealth", Name="alive", Status="critical")
    expected = {
        "web-1": Presence.ALIVE,
        "old-1": Presence.ALIVE,
        "old-2": Presence.FAILED,
        "old-3": Presence.GONE,
        "_gateway-7": Presence.GONE,
    }
    known = ("old-3", "old-2", "old-1", "_gateway-7")
    assert presences(await read_members(client, selector, known)) == expected
    async with subscribed(client, selector, known) as look:
        await look.until(lambda members: presences(members) == expected)


async def test_members_have_the_ids_of_their_machines(client, members, plain_consul):
    """They tell a machine rebuilt under its old name from its predecessor."""
    members("web-1")
    machine = "11111111-2222-3333-4444-555555555555"
    fields = {"Node": "web-2", "Address": "127.0.0.1", "ID": machine, "Service": {"Service": "web"}}
    plain_consul.http.put(lambda answer: answer, "/v1/catalog/register", data=json.dumps(fields))
    for selector in (WEB, ListedMembers(("web-1", "web-2"))):
        found = await read_members(client, selector)
        assert {name: member.node_id for name, member in found.items()} == {"web-1": None, "web-2": machine}


async def test_service_whose_name_differs_in_case(client, members):
    """Consul finds it anyway; but keys differ, so a typo would make a second tier of the same nodes."""
    members("web-1", tier="Web")
    with pytest.raises(InvalidInput, match="Consul has no service 'web', only 'Web'"):
        await read_members(client, WEB)
    async with subscribed(client, WEB) as look:
        with pytest.raises(InvalidInput, match="'Web'"):
            await look.see({})
    assert list(await read_members(client, ServiceMembers("Web"))) == ["web-1"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("WEB-1", "Consul lists no node 'WEB-1', did you mean 'web-1'?"),
        ("wep-1", "Consul lists no node 'wep-1', did you mean 'web-1'?"),
        ("db-1", "Consul lists no node 'db-1', did you mean 'db-1.example.com'?"),
        ("cache", "Consul lists no node 'cache', and none with a similar name"),
    ],
)
async def test_names_that_consul_does_not_list(client, members, name, words):
    """Each with the nearest node by case, by spelling or by short name."""
    members("web-1", "db-1.example.com")
    await check_names(client, "members", ["web-1"])
    with pytest.raises(InvalidInput) as caught:
        await check_names(client, "members of demo/web", ["web-1", name])
    assert str(caught.value) == f"members of demo/web: {words}"


async def test_agents_that_join_die_leave_and_come_back(make_cluster):
    """Each selector sees each change: a killed member has failed, one that left is gone."""
    cluster = make_cluster(web=1, fast_failure_detection=True)
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client, AsyncExitStack() as stack:
        looks = [await stack.enter_async_context(subscribed(client, selector)) for selector in SELECTORS]

        async def expect(**expected: Presence) -> None:
            for look in looks:
                await look.until(lambda members: presences(members) == {"web-1": Presence.ALIVE} | expected)

        cluster.add_node("web-2", tier="web")
        await expect(**{"web-2": Presence.ALIVE})
        cluster.kill_node("web-2")
        await expect(**{"web-2": Presence.FAILED})
        # An agent that leaves by itself may register itself once more on its way out, and then stays in the catalog.
        async with httpx.AsyncClient(base_url=cluster.server.url, trust_env=False) as http:
            (await http.put("/v1/agent/force-leave/web-2")).raise_for_status()
        await expect(**{"web-2": Presence.GONE})
        cluster.restart_node("web-2")
        await expect(**{"web-2": Presence.ALIVE})
