"""A real Consul that denies what a token's policy does not allow."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.testing.consul_version import first_token, version_of
from demo.cluster import ConsulCluster
from tests.support.peer import Answer, Peer, Request, forward_to
from tests.support.shared_catalog import remove_nodes

MANAGEMENT_TOKEN = "b1d2c3e4-0000-4000-8000-000000000001"
UNKNOWN_TOKEN = "b1d2c3e4-0000-4000-8000-00000000dead"


@dataclass(frozen=True)
class AclConsul:
    """A cluster of one server with ACLs, and ways to prepare it."""

    port: int
    http: httpx.Client

    def put(self, path: str, fields: dict[str, Any]) -> Any:
        """PUT with the management token."""
        return self.http.put(path, json=fields).raise_for_status().json()

    def create_token(self, rules: str) -> str:
        """A token with a single policy of these rules."""
        policy = self.put("acl/policy", {"Name": uuid.uuid4().hex, "Rules": rules})
        return str(self.put("acl/token", {"Policies": [{"ID": policy["ID"]}]})["SecretID"])

    def register(self, *nodes: str, tier: str) -> None:
        """Make nodes members of a tier."""
        for node in nodes:
            self.put("catalog/register", {"Node": node, "Address": "127.0.0.1", "Service": {"Service": tier}})

    def connect(self, token: str | None, root: str) -> ConsulClient:
        """A client with a token."""
        return ConsulClient(ConsulSettings("127.0.0.1", self.port, token=token, root=root))


@pytest.fixture(scope="session")
def shared_acl_consul(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclConsul]:
    """One Consul that denies by default for all tests of this process, which take it as `acl_consul`."""
    with _started(consul_binary, tmp_path_factory.mktemp("consul-acl")) as running:
        yield running


@pytest.fixture
def acl_consul(shared_acl_consul: AclConsul) -> Iterator[AclConsul]:
    """A Consul that denies by default, without nodes: write below `consul_root`.

    Nodes that the test registers leave when it ends.
    """
    yield shared_acl_consul
    remove_nodes(f"http://127.0.0.1:{shared_acl_consul.port}", MANAGEMENT_TOKEN)


@pytest.fixture(scope="session")
def list_policy_consul(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclConsul]:
    """The same, where a token may list only prefixes for which its policy says `list`."""
    with _started(consul_binary, tmp_path_factory.mktemp("consul-list"), enable_key_list_policy=True) as running:
        yield running


@pytest.fixture
def older_acl_consul(acl_consul: AclConsul) -> Iterator[AclConsul]:
    """The same as a version before 1.11 would answer: it does not say what it left out of a list, nor its version."""
    forward = forward_to(acl_consul.port)

    def answer(request: Request) -> Answer:
        if request.path == "/v1/agent/version":
            return Answer(404, "", {})
        found = forward(request)
        kept = {name: value for name, value in found.headers.items() if "Filtered" not in name}
        return replace(found, headers=kept)

    with Peer(answer) as peer:
        yield replace(acl_consul, port=peer.port)


@contextmanager
def _started(binary: Path, directory: Path, **acl: Any) -> Iterator[AclConsul]:
    acl |= {"enabled": True, "default_policy": "deny", "tokens": first_token(version_of(binary), MANAGEMENT_TOKEN)}
    options: dict[str, Any] = {"extra_config": {"acl": acl}, "token": MANAGEMENT_TOKEN, "in_memory": True}
    with ConsulCluster(binary, directory, **options) as cluster:
        url, headers = f"{cluster.server.url}/v1/", {"X-Consul-Token": MANAGEMENT_TOKEN}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as http:
            yield AclConsul(cluster.http_port, http)
