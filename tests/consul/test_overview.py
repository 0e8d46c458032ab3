"""The contents of the shared data view."""

from __future__ import annotations

import json
from datetime import timedelta

from airflow_provider_chefconsul.consul.overview import (
    list_environments,
    list_tiers,
    read_early_failures,
    read_lease,
)
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from tests.support.factory import NOW


async def test_environments_and_tiers_are_those_with_keys(view, consul_kv):
    """The orchestrator's own keys begin with an underscore, and are not tiers."""
    assert await list_environments(view) == []
    for key in ("demo/web/desired", "demo/db/nodes/db-1", "demo/_history/app/000000000001", "live/_lease", "stray"):
        consul_kv[key] = "{}"
    assert await list_environments(view) == ["demo", "live"]
    assert await list_tiers(view, "demo") == ["db", "web"]
    assert await list_tiers(view, "live") == []


async def test_lease_is_read_or_named(view, consul_kv):
    """Free, held or unreadable."""
    assert await read_lease(view, "demo") is None
    lease = Lease.begin(DagRun("shop", "manual__1"), timedelta(minutes=1), "release", now=NOW)
    consul_kv["demo/_lease"] = lease.to_json()
    assert await read_lease(view, "demo") == lease
    consul_kv["demo/_lease"] = "{"
    assert isinstance(await read_lease(view, "demo"), Unreadable)


async def test_early_failures_are_found_by_node(view, consul_kv):
    """As the cookbook writes them: without tier, generation or state. Unreadable ones are left out."""
    report = {
        "schema": 1, "node": "db-2", "status": "failed", "run_id": "1", "started_at": "2026-11-22T08:00:00Z",
        "finished_at": "2026-11-22T08:00:01Z", "client": "chef 18.11.21",
        "error": {"class": "SyntaxError", "message": "unexpected end", "resource": ""},
    }  # fmt: skip
    consul_kv["demo/_nodes/db-2"] = json.dumps(report)
    consul_kv["demo/_nodes/db-1"] = "{"
    found = await read_early_failures(view, "demo")
    assert list(found) == ["db-2"]
    assert str(found["db-2"].error) == "SyntaxError: unexpected end"
    assert found["db-2"].modify_index > 0
