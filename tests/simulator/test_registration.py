"""The catalog entries of simulated nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.domain.model.membership import Member, MetaMembers, ServiceMembers
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.simulator.registration import FleetRegistration, NameTaken

WEB = {"web-1": "web", "web-2": "web"}


@pytest.fixture
async def client(cluster, consul_root) -> AsyncIterator[ConsulClient]:
    """A client of the shared Consul."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
        yield client


async def presences(client: ConsulClient, tier: str = "web") -> dict[str, bool]:
    """By member, whether it is present."""
    found = await read_members(client, ServiceMembers(tier))
    return {node: member.is_present for node, member in found.items()}


async def test_nodes_are_members_until_they_leave(client):
    """By the service of their tier and by metadata; absent when their check says so; nothing is left of them."""
    roster = FleetRegistration(client, "demo", WEB)
    await roster.claim()
    try:
        await roster.register(WEB)
        meta = {"tier": "web", "chefconsul-simulated": f"{client.settings.root}/demo"}
        for selector in (ServiceMembers("web"), MetaMembers("tier", "web")):
            found = await read_members(client, selector)
            assert {node: replace(member, node_id=None) for node, member in found.items()} == {
                node: Member(node, meta=meta) for node in WEB
            }
        await client.transact([roster.presence("web-2", is_present=False)])
        assert await presences(client) == {"web-1": True, "web-2": False}
        await client.transact([roster.presence("web-2", is_present=True)])
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await roster.leave()
    assert await presences(client) == {}
    _, nodes = await client.read("/v1/catalog/nodes")
    assert not {entry["Node"] for entry in nodes} & set(WEB)


async def test_nodes_have_the_ids_of_their_machines(client):
    """A node that has left comes back under its id; another fleet's machine of that name takes its place."""
    _, web_1, web_2, other = (f"00000000-0000-4000-8000-{number:012d}" for number in range(4))

    async def ids() -> dict[str, str]:
        _, nodes = await client.read("/v1/catalog/nodes")
        return {entry["Node"]: entry["ID"] for entry in nodes if entry["Node"] in WEB}

    roster = FleetRegistration(client, "demo", WEB, {"web-1": web_1, "web-2": web_2})
    try:
        await roster.register(WEB)
        assert await ids() == {"web-1": web_1, "web-2": web_2}
        await client.transact([roster.leaving("web-2")])
        assert (await presences(client), await ids()) == ({"web-1": True}, {"web-1": web_1})
        await client.transact(roster.joining("web-2"))
        assert await ids() == {"web-1": web_1, "web-2": web_2}
        roster = FleetRegistration(client, "demo", WEB, {"web-1": other, "web-2": web_2})
        await roster.claim()
        await roster.register(WEB)
        assert await ids() == {"web-1": other, "web-2": web_2}
    finally:
        await roster.leave()


async def test_tier_with_other_members_is_refused(client, members):
    """Whatever their names."""
    members("real-1", tier="web")
    with pytest.raises(NameTaken, match=r"tier web .* not simulated: Consul lists real-1;"):
        await FleetRegistration(client, "demo", WEB).claim()
    assert await presences(client) == {"real-1": True}


async def test_names_of_other_nodes_are_refused(client, members):
    """Whatever their tier."""
    members("web-2", tier="other")
    with pytest.raises(NameTaken, match="Consul lists web-2"):
        await FleetRegistration(client, "demo", WEB).claim()


async def test_nodes_of_another_environments_fleet_are_refused(client):
    """They would be members of both."""
    first = FleetRegistration(client, "demo", WEB)
    await first.register(WEB)
    try:
        with pytest.raises(NameTaken, match=r"simulated for \S+/demo: "):
            await FleetRegistration(client, "other", WEB).claim()
    finally:
        await first.leave()


async def test_nodes_of_another_root_prefix_are_refused(client, cluster):
    """An environment of the same name is another one there, and its fleet may be alive."""
    first = FleetRegistration(client, "demo", WEB)
    await first.register(WEB)
    try:
        async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root="elsewhere")) as other:
            with pytest.raises(NameTaken, match=r"simulated for \S+/demo: "):
                await FleetRegistration(other, "demo", WEB).claim()
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await first.leave()


async def test_what_an_earlier_fleet_left_behind_is_removed(client):
    """As after a kill; a fleet of other tiers of the same environment stays."""
    left, other = (
        FleetRegistration(client, "demo", {**WEB, "web-3": "web"}),
        FleetRegistration(client, "demo", {"db-1": "db"}),
    )
    await left.register(["web-1", "web-2", "web-3"])
    await other.register(["db-1"])
    try:
        await client.transact([left.presence("web-1", is_present=False)])
        roster = FleetRegistration(client, "demo", WEB)
        await roster.claim()
        assert (await presences(client), await presences(client, "db")) == ({}, {"db-1": True})
        await roster.register(WEB)
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await left.leave()
        await other.leave()


async def test_leaving_says_what_stays_when_consul_is_away(free_port, monkeypatch):
    """And what becomes of it."""
    monkeypatch.setattr("airflow_provider_chefconsul.simulator.registration._PAUSE", 0)
    async with ConsulClient(ConsulSettings("127.0.0.1", free_port)) as client:
        with pytest.raises(ConsulUnavailable, match="stay in its catalog; the next fleet of this environment removes"):
            await FleetRegistration(client, "demo", WEB).leave()
