"""A real chef-client for the tests that need one; they are skipped if there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.chef_client import ChefClient, find_chef
from demo.cluster import ConsulCluster
from tests.cookbooks.trial import Gate, Trial
from tests.support.raw_keys import RawKeys


@pytest.fixture(scope="session")
def chef(tmp_path_factory: pytest.TempPathFactory) -> ChefClient:
    """The chef-client or cinc-client on the PATH."""
    found = find_chef(tmp_path_factory.mktemp("store"))
    if found is None:
        pytest.skip("no chef-client on the PATH: converge tests were not run")
    return found


@pytest.fixture
def trial(
    chef: ChefClient, cluster: ConsulCluster, consul_root: str, consul_kv: RawKeys, tmp_path: Path
) -> Iterator[Trial]:
    """The cookbook ``trial``, which nodes run against the real Consul."""
    with Trial(chef, cluster.http_port, consul_root, consul_kv, tmp_path) as trial:
        yield trial


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate at which recipes wait for the test."""
    with Gate() as gate:
        yield gate
