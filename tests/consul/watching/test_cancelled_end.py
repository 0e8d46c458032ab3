"""Whoever stops to watch may be cancelled at any moment of it: no connection is left open."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.pool import Pool
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from tests.support.factory import make_desired


@pytest.fixture
def pools(monkeypatch) -> list[Pool]:
    """The pools of connections that the test opens."""
    opened: list[Pool] = []

    class Noted(Pool):
        def __init__(self, settings: ConsulSettings) -> None:
            super().__init__(settings)
            opened.append(self)

    monkeypatch.setattr("airflow_provider_chefconsul.consul.http.pool.Pool", Noted)
    return opened


def are_closed(pools: list[Pool]) -> bool:
    """Whether there were any, and nothing of them is left open."""
    return bool(pools) and all(each.short.is_closed and each.blocking.is_closed for each in pools)


async def cancel_at(moment: int, coroutine: Coroutine[Any, Any, None]) -> None:
    """Cancel it after so many turns of the event loop, and let it end."""
    ending = asyncio.create_task(coroutine)
    for _ in range(moment):
        await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)


@pytest.mark.parametrize("moment", range(1, 30))
def test_cancelled_while_a_watch_ends(cluster, consul_root, consul_kv, pools, moment):
    """At each turn of the event loop from the beginning of its end."""
    consul_kv["demo/web/desired"] = make_desired(7).to_json()

    async def watch_and_end():
        async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
            watch = SharedView(client).watch("demo", "web", ServiceMembers("web"))
            await anext(watch)
            await cancel_at(moment, watch.aclose())

    asyncio.run(watch_and_end())
    assert are_closed(pools)


@pytest.mark.parametrize("moment", range(1, 12))
def test_cancelled_while_a_client_is_closed(cluster, pools, moment):
    """Its idle connections are closed all the same."""

    async def use_and_close():
        client = ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port))
        await asyncio.gather(*(client.get("any") for _ in range(4)))
        await cancel_at(moment, client.close())

    asyncio.run(use_and_close())
    assert are_closed(pools)
