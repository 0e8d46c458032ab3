"""Whoever stops to watch may be cancelled at any moment of it: no connection is left open."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from tests.support.factory import make_desired


def open_sockets() -> int:
    """How many this process has."""
    gc.collect()
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the directory's own, and those that others close meanwhile
            found += str(path.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("moment", range(1, 30))
def test_cancelled_while_a_watch_ends(cluster, consul_root, consul_kv, moment):
    """At each turn of the event loop from the beginning of its end."""
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    before = open_sockets()

    async def watch_and_end():
        async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
            watch = SharedView(client).watch("demo", "web", ServiceMembers("web"))
            await anext(watch)
            ending = asyncio.create_task(watch.aclose())
            for _ in range(moment):
                await asyncio.sleep(0)
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    asyncio.run(watch_and_end())
    assert open_sockets() <= before


@pytest.mark.parametrize("moment", range(1, 12))
def test_cancelled_while_a_client_is_closed(cluster, moment):
    """Its idle connections are closed all the same."""
    before = open_sockets()

    async def use_and_close():
        client = ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port))
        await asyncio.gather(*(client.get("any") for _ in range(4)))
        closing = asyncio.create_task(client.close())
        for _ in range(moment):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)

    asyncio.run(use_and_close())
    assert open_sockets() <= before
