"""Who belongs to a tier, by a real catalog and real agents."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import httpx
import pytest

from airflow_provider_chefconsul.consul.catalog import await_member_change, read_members
from airflow_provider_chefconsul.consul.client import ConsulClient
from airflow_provider_chefconsul.consul.settings import ConsulSettings
from airflow_provider_chefconsul.rollout.membership import ListedMembers, Members, MetaMembers, ServiceMembers
from tests.factory import make_members

PATIENCE = 20  # seconds that a change may take to be noticed, on however slow a machine
WEB = ServiceMembers("web")
SELECTORS = (WEB, MetaMembers("tier", "web"), ListedMembers(("web-1", "web-2")))


@pytest.fixture
async def client(cluster):
    """A client of the shared Consul."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        yield client


def places(members: Members) -> dict[str, bool]:
    """By node, whether it is present."""
    return {node: member.is_present for node, member in members.items()}


async def _wait_for(client, selector, expected, index: int) -> int:
    """Wait until the members are these, by blocking only: each wake may be for something else."""
    async with asyncio.timeout(PATIENCE):
        while True:
            index = await await_member_change(client, selector, index)
            if places(await read_members(client, selector)) == places(expected):
                return index


async def test_members_by_service(client, members):
    """The nodes with an instance of the service, and only those."""
    members("web-2", "web-1")
    members("app-1", tier="app")
    assert await read_members(client, WEB) == make_members("web-1", "web-2")
    assert await read_members(client, ServiceMembers("app")) == make_members("app-1")
    assert await read_members(client, ServiceMembers("db")) == {}


async def test_members_by_metadata(client, members):
    """The nodes whose metadata has the value, whatever they serve; text that a URL would break is fine."""
    members("web-1", rack="r1", owner="a&b=c d/é")
    members("app-1", tier="app", rack="r1")
    members("web-2", rack="r2")
    owned = make_members("web-1", meta={"rack": "r1", "owner": "a&b=c d/é"})
    assert await read_members(client, MetaMembers("rack", "r1")) == owned | make_members("app-1", meta={"rack": "r1"})
    assert await read_members(client, MetaMembers("owner", "a&b=c d/é")) == owned
    assert await read_members(client, MetaMembers("rack", "r3")) == {}


async def test_members_by_name(client, members):
    """In the order of the list; one that Consul does not know is absent, for it must have been meant."""
    members("web-1", "web-2", "web-3")
    found = await read_members(client, ListedMembers(("web-2", "web-1", "web-9")))
    assert found == make_members("web-2", "web-1", absent=("web-9",))
    assert list(found) == ["web-2", "web-1", "web-9"]


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2", "web-3"))])
async def test_member_whose_agent_is_not_alive_is_absent(client, members, selector):
    """Alive or never under an agent is present; only a critical agent's check makes a member absent."""
    members("web-1", check="passing", rack="r1")
    members("web-2", check="critical", rack="r1")
    members("web-3", check=None, rack="r1")
    expected = make_members("web-1", "web-3", absent=("web-2",), meta={"rack": "r1"})
    assert await read_members(client, selector) == expected


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2"))], ids=str)
async def test_member_without_an_agent_is_absent_when_its_watcher_says_so(client, members, plain_consul, selector):
    """As Consul ESM does for external nodes; the change wakes whoever waits for it."""
    members("web-1", "web-2", rack="r1")
    index = await await_member_change(client, selector, 0)
    for status, absent in (("critical", ["web-2"]), ("passing", [])):
        check = {"CheckID": "externalNodeHealth", "Name": "Node Alive Status", "Status": status}
        entry = {"Node": "web-2", "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
        plain_consul.http.put(lambda answer: answer, "/v1/catalog/register", data=json.dumps(entry))
        present = [node for node in ("web-1", "web-2") if node not in absent]
        index = await _wait_for(client, selector, make_members(*present, absent=absent), index)


async def test_other_checks_are_none_of_this_business(client, members, plain_consul):
    """A service that is down for its upgrade does not make its node absent."""
    members("web-1")
    for check in (
        {"CheckID": "service:web", "Name": "web", "Status": "critical", "ServiceID": "web"},
        {"CheckID": "_node_maintenance", "Name": "maintenance", "Status": "critical"},
    ):
        fields = {"Node": "web-1", "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
        assert plain_consul.http.put(lambda answer: answer.code, "/v1/catalog/register", data=json.dumps(fields)) == 200
    assert await read_members(client, WEB) == make_members("web-1", unhealthy=("web is critical",))


@pytest.mark.parametrize(
    ("selector", "meta"),
    [
        (WEB, {"zone": "a", "rack": "r1"}),
        (MetaMembers("rack", "r1"), {"zone": "a", "rack": "r1"}),
        (ListedMembers(("web-1", "web-9")), {"zone": "a", "rack": "r1"}),
    ],
)
async def test_members_have_their_metadata(client, members, selector, meta):
    """However they are named; one without any has none, and neither has one that Consul does not know."""
    members("web-1", zone="a", rack="r1")
    members("web-2")
    found = await read_members(client, selector)
    assert {node: member.meta for node, member in found.items() if member.meta} == {"web-1": meta}


async def test_checks_of_the_service_that_do_not_pass(client, members, service_check):
    """Each by its name and status; other services' checks on the same node, and those that pass, are left out."""
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
    index = await await_member_change(client, WEB, 0)
    waiting = asyncio.create_task(await_member_change(client, WEB, index))
    service_check("web-1", "critical")
    async with asyncio.timeout(PATIENCE):
        assert await waiting > index


async def test_service_of_others_does_not_wake(client, members):
    """A join elsewhere leaves the query alone; one in the tier ends it."""
    members("web-1")
    index = await await_member_change(client, WEB, 0)
    waiting = asyncio.create_task(await_member_change(client, WEB, index))
    members("app-1", tier="app")
    await asyncio.wait({waiting}, timeout=0.5)
    assert not waiting.done()
    members("web-2")
    async with asyncio.timeout(PATIENCE):
        assert await waiting > index


async def test_first_member_wakes(client, members):
    """A tier that nobody belongs to yet can be waited for."""
    index = await await_member_change(client, WEB, 0)
    waiting = asyncio.create_task(_wait_for(client, WEB, make_members("web-1"), index))
    members("web-1")
    await waiting


async def test_agents_that_join_die_leave_and_come_back(make_cluster, monkeypatch):
    """Each selector sees each change: a member that was killed is absent, one that left is none, unless it is named."""
    monkeypatch.setattr("airflow_provider_chefconsul.consul.catalog._LOOK_AT_METADATA", timedelta(seconds=0.2))
    cluster = make_cluster(web=1, fast_failure_detection=True)
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        indexes = [await await_member_change(client, selector, 0) for selector in SELECTORS]

        async def expect(*expected) -> None:
            nonlocal indexes
            waits = [_wait_for(client, *each) for each in zip(SELECTORS, expected, indexes, strict=True)]
            indexes = await asyncio.gather(*waits)

        cluster.add_node("web-2", tier="web")
        await expect(*[make_members("web-1", "web-2")] * 3)
        cluster.kill_node("web-2")
        await expect(*[make_members("web-1", absent=("web-2",))] * 3)
        # An agent that leaves by itself may register itself once more on its way out, and then stays in the catalog.
        async with httpx.AsyncClient(base_url=cluster.server.url, trust_env=False) as http:
            (await http.put("/v1/agent/force-leave/web-2")).raise_for_status()
        await expect(make_members("web-1"), make_members("web-1"), make_members("web-1", absent=("web-2",)))
        cluster.restart_node("web-2")
        await expect(*[make_members("web-1", "web-2")] * 3)
