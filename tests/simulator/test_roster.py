"""The catalog entries of simulated nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.client import ConsulClient
from airflow_provider_chefconsul.consul.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, NameTaken
from airflow_provider_chefconsul.rollout.membership import Member, MetaMembers, ServiceMembers
from airflow_provider_chefconsul.simulator.roster import Roster

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
    roster = Roster(client, "demo", WEB)
    await roster.claim()
    try:
        await roster.register(WEB)
        meta = {"tier": "web", "chefconsul-simulated": f"{client.settings.root}/demo"}
        expected = {node: Member(node, meta=meta) for node in WEB}
        assert await read_members(client, ServiceMembers("web")) == expected
        assert await read_members(client, MetaMembers("tier", "web")) == expected
        await client.apply([roster.presence("web-2", is_present=False)])
        assert await presences(client) == {"web-1": True, "web-2": False}
        await client.apply([roster.presence("web-2", is_present=True)])
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await roster.leave()
    assert await presences(client) == {}
    _, nodes = await client.read("/v1/catalog/nodes")
    assert not {entry["Node"] for entry in nodes} & set(WEB)


async def test_tier_with_other_members_is_refused(client, members):
    """Whatever their names."""
    members("real-1", tier="web")
    with pytest.raises(NameTaken, match=r"tier web .* not simulated: Consul lists real-1;"):
        await Roster(client, "demo", WEB).claim()
    assert await presences(client) == {"real-1": True}


async def test_names_of_other_nodes_are_refused(client, members):
    """Whatever their tier."""
    members("web-2", tier="other")
    with pytest.raises(NameTaken, match="Consul lists web-2"):
        await Roster(client, "demo", WEB).claim()


async def test_nodes_of_another_environments_fleet_are_refused(client):
    """They would be members of both."""
    first = Roster(client, "demo", WEB)
    await first.register(WEB)
    try:
        with pytest.raises(NameTaken, match=r"simulated for \S+/demo: "):
            await Roster(client, "other", WEB).claim()
    finally:
        await first.leave()


async def test_nodes_of_another_root_prefix_are_refused(client, cluster):
    """An environment of the same name is another one there, and its fleet may be alive."""
    first = Roster(client, "demo", WEB)
    await first.register(WEB)
    try:
        async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root="elsewhere")) as other:
            with pytest.raises(NameTaken, match=r"simulated for \S+/demo: "):
                await Roster(other, "demo", WEB).claim()
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await first.leave()


async def test_what_an_earlier_fleet_left_behind_is_removed(client):
    """As after a kill; a fleet of other tiers of the same environment stays."""
    left, other = Roster(client, "demo", {**WEB, "web-3": "web"}), Roster(client, "demo", {"db-1": "db"})
    await left.register(["web-1", "web-2", "web-3"])
    await other.register(["db-1"])
    try:
        await client.apply([left.presence("web-1", is_present=False)])
        roster = Roster(client, "demo", WEB)
        await roster.claim()
        assert (await presences(client), await presences(client, "db")) == ({}, {"db-1": True})
        await roster.register(WEB)
        assert await presences(client) == {"web-1": True, "web-2": True}
    finally:
        await left.leave()
        await other.leave()


async def test_leaving_says_what_stays_when_consul_is_away(free_port, monkeypatch):
    """And what becomes of it."""
    monkeypatch.setattr("airflow_provider_chefconsul.simulator.roster._PAUSE", 0)
    async with ConsulClient(ConsulSettings("127.0.0.1", free_port)) as client:
        with pytest.raises(ConsulUnavailable, match="stay in its catalog; the next fleet of this environment removes"):
            await Roster(client, "demo", WEB).leave()
