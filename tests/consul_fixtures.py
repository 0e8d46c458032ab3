"""What tests need of the real Consul beside the package: raw keys, members of a tier, a port where nobody listens."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import consul
import pytest


class RawKeys(MutableMapping[str, str]):
    """The keys below a root, as text, read and written without the package under test."""

    def __init__(self, client: consul.Consul, root: str) -> None:
        self.client, self._kv, self._root = client, client.kv, root

    def __getitem__(self, key: str) -> str:
        _, found = self._kv.get(f"{self._root}/{key}")
        if found is None:
            raise KeyError(key)
        return (found["Value"] or b"").decode()

    def __setitem__(self, key: str, value: str) -> None:
        assert self._kv.put(f"{self._root}/{key}", value)

    def __delitem__(self, key: str) -> None:
        assert self._kv.delete(f"{self._root}/{key}")

    def __iter__(self) -> Iterator[str]:
        _, keys = self._kv.get(f"{self._root}/", keys=True)
        return iter([key.removeprefix(f"{self._root}/") for key in keys or []])

    def __len__(self) -> int:
        return len(list(iter(self)))


@pytest.fixture
def plain_consul(cluster: Any) -> consul.Consul:
    """py-consul's own client."""
    return consul.Consul(host="127.0.0.1", port=cluster.http_port)


@pytest.fixture
def consul_kv(plain_consul: consul.Consul, consul_root: str) -> Iterator[RawKeys]:
    """The test's own keys."""
    yield RawKeys(plain_consul, consul_root)
    plain_consul.kv.delete(f"{consul_root}/", recurse=True)


@pytest.fixture
def members(plain_consul: consul.Consul) -> Iterator[Callable[..., None]]:
    """Register nodes with a service named like their tier and, when ``check`` is given, an agent's health check.

    Once a minute Consul deregisters a node that has an agent's check but no agent.
    """
    registered: set[str] = set()

    def register(*nodes: str, tier: str = "web", check: str | None = None, **meta: str) -> None:
        for node in nodes:
            registered.add(node)
            health = {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": check}
            plain_consul.http.put(
                lambda response: response,
                "/v1/catalog/register",
                data=json.dumps(
                    {"Node": node, "Address": "127.0.0.1", "NodeMeta": meta, "Service": {"Service": tier}}
                    | ({"Check": health} if check else {})
                ),
            )

    yield register
    for node in registered:
        plain_consul.catalog.deregister(node)


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
