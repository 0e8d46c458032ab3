"""Watching several tiers at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.tiers_watch import watch_tiers
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from tests.consul.test_history_watch import until
from tests.support.factory import make_change, make_report


async def test_all_named_tiers_are_seen(view, members):
    """Including one that has no keys yet."""
    members("web-1")
    await write(view, "demo", {"web": make_change()})
    async with aclosing(watch_tiers(view, "demo", ["db", "web"], "service")) as watch:
        seen = await anext(watch)
    assert list(seen.snapshots) == ["db", "web"]
    assert seen.snapshots["db"].desired is None
    assert list(seen.snapshots["web"].members) == ["web-1"]


async def test_all_tiers_are_found_as_they_are_declared(view, consul_kv):
    """A tier whose desired state was deleted is left out again."""
    async with aclosing(watch_tiers(view, "demo", None, "service")) as watch:
        assert (await until(watch, lambda seen: True)).snapshots == {}
        for tier in ("web", "db"):
            await write(view, "demo", {tier: make_change()})
            await until(watch, lambda seen, tier=tier: tier in seen.snapshots)
        del consul_kv["demo/web/desired"]
        seen = await until(watch, lambda seen: "web" not in seen.snapshots)
    assert list(seen.snapshots) == ["db"]


async def test_looking_again_reads_what_is_there_now(view, consul_kv, members):
    """Not what was seen before."""
    members("web-1")
    await write(view, "demo", {"web": make_change()})
    async with aclosing(watch_tiers(view, "demo", ["web"], "service")) as watch:
        seen = await anext(watch)
        consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1).to_json()
        again = await seen.look_again({})
    assert seen.snapshots["web"].evidence == {}
    assert list(again["web"].evidence) == ["web-1"]


async def test_looking_again_keeps_who_was_a_member(view, consul_kv, members):
    """A live node whose service went away is still waited for."""
    members("web-1", "web-2")
    await write(view, "demo", {"web": make_change()})
    async with aclosing(watch_tiers(view, "demo", ["web"], "service")) as watch:
        seen = await anext(watch)
        consul_kv.client.catalog.deregister("web-2", service_id="web")
        again = await seen.look_again({"web": seen.snapshots["web"].members.keys()})
        anew = await seen.look_again({})
    assert again["web"].members["web-2"].is_present
    assert list(anew["web"].members) == ["web-1"]


async def test_outage_ends_the_watch(free_port):
    """With an error; the watcher starts over."""
    async with ConsulClient(ConsulSettings("127.0.0.1", free_port), retry_for=timedelta(0)) as client:
        for tiers in (["web"], None):
            with pytest.raises(ConsulUnavailable):
                await anext(watch_tiers(SharedView(client), "demo", tiers, "service"))
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others
