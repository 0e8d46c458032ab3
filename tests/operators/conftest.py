"""What the tests of transitions share; each file has a fixture ``chef_nodes`` with the nodes that it needs."""

from __future__ import annotations

import uuid

import consul
import pytest

from tests.support.airflow_home import connect
from tests.support.raw_keys import RawKeys


@pytest.fixture
def environment():
    """A fresh environment for each test."""
    return f"e{uuid.uuid4().hex[:12]}"


@pytest.fixture
def nodes(chef_nodes, environment, monkeypatch):
    """The nodes, all mended, which look at the test's environment; the default connection names their Consul."""
    connect(monkeypatch, chef_nodes.cluster.http_port)
    chef_nodes.begin(environment)
    return chef_nodes


@pytest.fixture
def keys(nodes, environment):
    """The keys of the test's environment."""
    return RawKeys(consul.Consul(host="127.0.0.1", port=nodes.cluster.http_port), f"chefconsul/{environment}")
