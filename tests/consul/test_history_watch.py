"""Watching histories."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from airflow_provider_chefconsul.consul.history_watch import watch_histories
from airflow_provider_chefconsul.consul.write import write
from tests.support.factory import make_change, make_desired
from tests.support.progress import PATIENCE


async def until(watch, wanted):
    """The first observation that satisfies this."""
    async with asyncio.timeout(PATIENCE):
        async for seen in watch:
            if wanted(seen):
                return seen
    raise AssertionError("the watch ended")


async def test_each_generation_is_seen_and_read_once(view, monkeypatch):
    """By tier; known documents are not read again."""
    read, get = [], view.client.get

    async def count(key):
        read.append(key)
        return await get(key)

    async with aclosing(watch_histories(view, "demo")) as watch:
        for tier, release in (("web", "1"), ("db", "1"), ("web", "2")):
            await write(view, "demo", {tier: make_change(values={"release": release})})
            monkeypatch.setattr(view.client, "get", count)
            seen = await until(watch, lambda seen, tier=tier, release=release: len(seen.get(tier, {})) == int(release))
            monkeypatch.undo()
    assert {tier: sorted(history) for tier, history in seen.items()} == {"web": [1, 2], "db": [1]}
    assert len(read) == len(set(read)) == 3


async def test_unreadable_documents_are_left_out_until_fixed(view, consul_kv):
    """Other keys are ignored."""
    consul_kv["demo/_history/web/000000000001"] = "not JSON"
    consul_kv["demo/_history/web/notes"] = "by hand"
    consul_kv["demo/_history/_x/000000000001"] = make_desired(1).to_json()
    async with aclosing(watch_histories(view, "demo")) as watch:
        assert await anext(watch) == {}
        consul_kv["demo/_history/web/000000000001"] = make_desired(1).to_json()
        assert await until(watch, bool) == {"web": {1: make_desired(1)}}
