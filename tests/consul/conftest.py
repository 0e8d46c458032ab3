"""What tests of the adapter share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from airflow_provider_chefconsul.consul.client import ConsulClient
from airflow_provider_chefconsul.consul.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView


@pytest.fixture
async def view(cluster: Any, consul_root: str) -> AsyncIterator[SharedView]:
    """The view of the shared Consul, below the test's own root."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
        yield SharedView(client)


@pytest.fixture
async def client(view: SharedView) -> ConsulClient:
    """A client of the shared Consul."""
    return view.client
