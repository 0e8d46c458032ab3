"""Many tiers, whose token may not list the prefix that one query for all of them would need."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest

from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.exceptions import AccessDenied
from tests.support.factory import make_desired, make_report
from tests.support.progress import PATIENCE

CATALOG = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } '
TIERS = [(environment, tier) for environment in ("prod", "staging", "test") for tier in ("web", "app")]
ENVIRONMENTS = sorted({environment for environment, _ in TIERS})


def may_list(*prefixes: str) -> str:
    """Rules for a token that may list these prefixes."""
    return CATALOG + "".join(f'key_prefix "{prefix}" {{ policy = "list" }} ' for prefix in prefixes)


@pytest.mark.parametrize("narrowest", ["environment", "tier"])
async def test_token_that_may_list_only_narrower_prefixes(list_policy_consul, consul_root, narrowest):
    """All tiers are watched by those: the fifth must not cost the others their view."""
    consul = list_policy_consul
    folders = ENVIRONMENTS if narrowest == "environment" else [f"{environment}/{tier}" for environment, tier in TIERS]
    token = consul.create_token(may_list(*(f"{consul_root}/{folder}/" for folder in folders)))
    consul.register("web-1", tier="web")
    consul.register("app-1", tier="app")
    for environment, tier in TIERS:
        consul.http.put(f"kv/{consul_root}/{environment}/{tier}/desired", content=make_desired(7).to_json())
    before = asyncio.all_tasks()
    async with consul.connect(token, consul_root) as client, AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        view, watches = SharedView(client), []
        for environment, tier in TIERS:
            watch = view.watch(environment, tier, ServiceMembers(tier))
            watches.append(await stack.enter_async_context(aclosing(watch)))
            assert (await anext(watch)).desired == make_desired(7)
        for (environment, tier), watch in zip(TIERS, watches, strict=True):
            report = make_report(f"{tier}-1", tier=tier).to_json()
            consul.http.put(f"kv/{consul_root}/{environment}/{tier}/nodes/{tier}-1", content=report)
            while not (await anext(watch)).evidence:
                pass
    assert asyncio.all_tasks() == before


async def test_token_that_may_list_none(list_policy_consul, consul_root):
    """A refusal, not a wait without end."""
    consul = list_policy_consul
    async with consul.connect(consul.create_token(CATALOG), consul_root) as client:
        view = SharedView(client)

        async def look(environment: str, tier: str) -> None:
            with pytest.raises(AccessDenied):
                await view.look(environment, tier, ServiceMembers(tier), known=())

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(look(*of) for of in TIERS))
