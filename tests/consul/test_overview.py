"""What there is in the shared data view."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_chefconsul.consul.overview import list_environments, list_tiers, read_lease
from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.lease import Holder, Lease
from tests.factory import NOW


async def test_environments_and_tiers_are_those_with_keys(view, consul_kv):
    """Keys of the orchestrator begin with an underscore, and are no tiers."""
    assert await list_environments(view) == []
    for key in ("demo/web/desired", "demo/db/nodes/db-1", "demo/_history/app/000000000001", "live/_lease", "stray"):
        consul_kv[key] = "{}"
    assert await list_environments(view) == ["demo", "live"]
    assert await list_tiers(view, "demo") == ["db", "web"]
    assert await list_tiers(view, "live") == []


async def test_lease_is_read_or_named(view, consul_kv):
    """Free, held, or spoilt."""
    assert await read_lease(view, "demo") is None
    lease = Lease.begin(Holder("shop", "manual__1"), timedelta(minutes=1), "release", now=NOW)
    consul_kv["demo/_lease"] = lease.to_json()
    assert await read_lease(view, "demo") == lease
    consul_kv["demo/_lease"] = "{"
    assert isinstance(await read_lease(view, "demo"), MalformedDocument)
