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
from airflow_provider_chefconsul.rollout.membership import ListedMembers, Member, MetaMembers, ServiceMembers

PATIENCE = 20  # seconds that a change may take to be noticed, on however slow a machine
WEB = ServiceMembers("web")
SELECTORS = (WEB, MetaMembers("tier", "web"), ListedMembers(("web-1", "web-2")))


@pytest.fixture
async def client(cluster):
    """A client of the shared Consul."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        yield client


def present(*nodes: str, absent: tuple[str, ...] = ()) -> dict[str, Member]:
    """Members by name."""
    return {node: Member(node, is_present=node not in absent) for node in [*nodes, *absent]}


async def _wait_for(client, selector, expected, index: int) -> int:
    """Wait until the members are these, by blocking only: each wake may be for something else."""
    async with asyncio.timeout(PATIENCE):
        while True:
            index = await await_member_change(client, selector, index)
            if await read_members(client, selector) == expected:
                return index


async def test_members_by_service(client, members):
    """The nodes with an instance of the service, and only those."""
    members("web-2", "web-1")
    members("app-1", tier="app")
    assert await read_members(client, WEB) == present("web-1", "web-2")
    assert await read_members(client, ServiceMembers("app")) == present("app-1")
    assert await read_members(client, ServiceMembers("db")) == {}


async def test_members_by_metadata(client, members):
    """The nodes whose metadata has the value, whatever they serve; text that a URL would break is fine."""
    members("web-1", rack="r1", owner="a&b=c d/é")
    members("app-1", tier="app", rack="r1")
    members("web-2", rack="r2")
    assert await read_members(client, MetaMembers("rack", "r1")) == present("web-1", "app-1")
    assert await read_members(client, MetaMembers("owner", "a&b=c d/é")) == present("web-1")
    assert await read_members(client, MetaMembers("rack", "r3")) == {}


async def test_members_by_name(client, members):
    """In the order of the list; one that Consul does not know is absent, for it must have been meant."""
    members("web-1", "web-2", "web-3")
    found = await read_members(client, ListedMembers(("web-2", "web-1", "web-9")))
    assert found == present("web-2", "web-1", absent=("web-9",))
    assert list(found) == ["web-2", "web-1", "web-9"]


@pytest.mark.parametrize("selector", [WEB, MetaMembers("rack", "r1"), ListedMembers(("web-1", "web-2", "web-3"))])
async def test_member_whose_agent_is_not_alive_is_absent(client, members, selector):
    """Alive or never under an agent is present; only a critical agent's check makes a member absent."""
    members("web-1", check="passing", rack="r1")
    members("web-2", check="critical", rack="r1")
    members("web-3", check=None, rack="r1")
    assert await read_members(client, selector) == present("web-1", "web-3", absent=("web-2",))


async def test_other_checks_are_none_of_this_business(client, members, plain_consul):
    """A service that is down for its upgrade does not make its node absent."""
    members("web-1")
    for check in (
        {"CheckID": "service:web", "Name": "web", "Status": "critical", "ServiceID": "web"},
        {"CheckID": "_node_maintenance", "Name": "maintenance", "Status": "critical"},
    ):
        fields = {"Node": "web-1", "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
        assert plain_consul.http.put(lambda answer: answer.code, "/v1/catalog/register", data=json.dumps(fields)) == 200
    assert await read_members(client, WEB) == present("web-1")


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
    waiting = asyncio.create_task(_wait_for(client, WEB, present("web-1"), index))
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
        await expect(*[present("web-1", "web-2")] * 3)
        cluster.kill_node("web-2")
        await expect(*[present("web-1", absent=("web-2",))] * 3)
        # An agent that leaves by itself may register itself once more on its way out, and then stays in the catalog.
        async with httpx.AsyncClient(base_url=cluster.server.url, trust_env=False) as http:
            (await http.put("/v1/agent/force-leave/web-2")).raise_for_status()
        await expect(present("web-1"), present("web-1"), present("web-1", absent=("web-2",)))
        cluster.restart_node("web-2")
        await expect(*[present("web-1", "web-2")] * 3)
