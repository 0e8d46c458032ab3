"""Fixtures for the real Consul besides the package: raw keys, members of a tier, a free port."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import consul
import pytest

from airflow_provider_chefconsul.consul.catalog import EXTERNAL_HEALTH
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from tests.support.raw_keys import RawKeys


@pytest.fixture
def plain_consul(cluster: Any) -> consul.Consul:
    """py-consul's own client."""
    return consul.Consul(host="127.0.0.1", port=cluster.http_port)


@pytest.fixture
async def view(cluster: Any, consul_root: str) -> AsyncIterator[SharedView]:
    """The view of the shared Consul below the test's own root."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
        yield SharedView(client)


@pytest.fixture
async def client(view: SharedView) -> ConsulClient:
    """A client of the shared Consul."""
    return view.client


@pytest.fixture
def consul_kv(plain_consul: consul.Consul, consul_root: str) -> Iterator[RawKeys]:
    """The test's own keys."""
    yield RawKeys(plain_consul, consul_root)
    plain_consul.kv.delete(f"{consul_root}/", recurse=True)


@pytest.fixture
def members(plain_consul: consul.Consul) -> Callable[..., None]:
    """Register nodes with a service named like their tier and, when ``check`` is given, an agent's health check.

    The check is not ``serfHealth``: once a minute Consul deregisters a node that has that one, but no agent.
    """

    def register(*nodes: str, tier: str = "web", check: str | None = None, **meta: str) -> None:
        for node in nodes:
            health = {"CheckID": EXTERNAL_HEALTH, "Name": "External Node Health", "Status": check}
            plain_consul.http.put(
                lambda response: response,
                "/v1/catalog/register",
                data=json.dumps(
                    {"Node": node, "Address": "127.0.0.1", "NodeMeta": meta, "Service": {"Service": tier}}
                    | ({"Check": health} if check else {})
                ),
            )

    return register


@pytest.fixture
def service_check(plain_consul: consul.Consul) -> Callable[..., None]:
    """Register a check of a node's instance of a service, or give it another status."""

    def register(node: str, status: str, *, tier: str = "web", name: str = "http") -> None:
        check = {"CheckID": f"{tier}:{name}", "Name": name, "Status": status, "ServiceID": tier}
        fields = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
        assert plain_consul.http.put(lambda answer: answer.code, "/v1/catalog/register", data=json.dumps(fields)) == 200

    return register


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
