"""A real Consul for every test that asks for one. Missing Consul is a failure, never a skip."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import consul
import hypothesis
import pytest

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.nodes import TIERS, add_node
from tests.dags.fleet import Fleet
from tests.support import examples  # noqa: F401 registers the profiles
from tests.support.raw_keys import RawKeys
from tests.support.shared_catalog import remove_nodes
from tests.support.warm_client import WarmClient, started_warm_client

pytest_plugins = [
    "tests.support.acl_fixtures",
    "tests.support.airflow_home",
    "tests.support.consul_fixtures",
    "tests.support.prometheus_fixtures",
    "tests.support.selection",
    "tests.support.ssh_fixtures",
    "tests.support.stats_fixtures",
    "tests.support.tls_fixtures",
]

hypothesis.settings.load_profile("chefconsul")

ClusterFactory = Callable[..., ConsulCluster]


@pytest.fixture(scope="session")
def consul_binary() -> Path:
    """The Consul to run: from the PATH, the cache, or Debian's package."""
    return find_consul()


@pytest.fixture(scope="session")
def shared_cluster(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulCluster]:
    """One Consul server for all tests of this process, which take it as `cluster`."""
    with ConsulCluster(consul_binary, tmp_path_factory.mktemp("consul"), in_memory=True) as running:
        yield running


@pytest.fixture
def cluster(shared_cluster: ConsulCluster) -> Iterator[ConsulCluster]:
    """A Consul server without nodes: leave it running, write below `consul_root`.

    Nodes that the test registers leave when it ends, whoever registered them.
    """
    yield shared_cluster
    remove_nodes(shared_cluster.server.url)


@pytest.fixture
def consul_root() -> str:
    """A key prefix that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_cluster(consul_binary: Path, tmp_path: Path) -> Iterator[ClusterFactory]:
    """Start a cluster of the test's own: `make_cluster(web=2, db=1)` has the nodes web-1, web-2 and db-1, ready.

    Other options are those of ConsulCluster: `make_cluster(web=1, fast_failure_detection=True)`, and `in_memory=False`
    where the server is restarted. For nodes with watches, start an empty one and add them:
    `make_cluster().add_node(…)`. It is stopped when the test ends.
    """
    with ExitStack() as stack:

        def make(**options: Any) -> ConsulCluster:
            sizes = {name: options.pop(name) for name, value in list(options.items()) if type(value) is int}
            made = ConsulCluster(
                consul_binary, tmp_path / f"consul-{uuid.uuid4().hex[:6]}", **{"in_memory": True} | options
            )
            stack.enter_context(made)
            for tier, size in sizes.items():
                for number in range(1, size + 1):
                    made.add_node(f"{tier}-{number}", tier=tier)
            made.wait_until_ready()
            return made

        yield make


@pytest.fixture(scope="session")
def warm_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmClient]:
    """What nodes have as chef-client where a test is not about their processes."""
    with started_warm_client(tmp_path_factory.mktemp("warm")) as client:
        yield client


@pytest.fixture
def fleet(consul_binary: Path, warm_client: WarmClient, tmp_path: Path) -> Iterator[Fleet]:
    """The demo's eight nodes with their watches, on a cluster of their own; their runs take no time."""
    with ConsulCluster(consul_binary, tmp_path / "consul", in_memory=True) as started:
        for tier, nodes in TIERS.items():
            for node in nodes:
                add_node(started, tmp_path / "nodes", node, tier, warm_client)
        started.wait_until_ready()
        yield Fleet(started, RawKeys(consul.Consul(host="127.0.0.1", port=started.http_port), DEFAULT_ROOT))
