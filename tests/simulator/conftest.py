"""A node of its own for each test, and a gate before Consul."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.cluster import ConsulCluster
from tests.simulator.gate import Gate
from tests.simulator.node import Node


@pytest.fixture
def node(cluster: ConsulCluster, consul_root: str, tmp_path: Path) -> Iterator[Node]:
    """A node without a desired state."""
    with Node(cluster.http_port, consul_root, tmp_path) as node:
        yield node


@pytest.fixture
def gate(cluster: ConsulCluster) -> Iterator[Gate]:
    """A gate before the real Consul."""
    with Gate(cluster.http_port) as gate:
        yield gate
