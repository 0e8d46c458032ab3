"""The example Dag that a rollout starts."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from demo.nodes import TIERS
from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect, pull_xcom
from tests.support.progress import PATIENCE
from tests.support.watching import AssetStore, running


async def watch(trigger: Any, has_begun: threading.Event) -> list[dict[str, Any]]:
    """The events of the watcher, up to its first."""
    store = AssetStore()
    async with running(trigger, store) as events:
        await store.is_set.wait()
        has_begun.set()
        await events.reach(1)
        return list(events)


def test_rollout_starts_it_once(fleet: Fleet, run_dag, monkeypatch):
    """Its watcher is silent while the tiers go through their states, and tells when all have converged."""
    connect(monkeypatch, fleet.cluster.http_port)
    (asset,) = load("event_driven_after_rollout").timetable.asset_condition.objects
    assert asset.uri == "consul://consul_default/demo?event=converged&state=converged"
    (watcher,) = asset.watchers
    has_begun = threading.Event()
    with ThreadPoolExecutor() as pool:
        watching = pool.submit(asyncio.run, watch(watcher.trigger, has_begun))
        assert has_begun.wait(PATIENCE)
        assert run_dag(load("phase2_declarative_rollout"), release="3.1.4")["run"] == "success"
        (event,) = watching.result(PATIENCE)
    assert event["key"] == "demo/app@3,db@1,web@3"
    assert {tier: assigned["values"]["release"] for tier, assigned in event["tiers"].items()} == dict.fromkeys(
        TIERS, "3.1.4"
    )


def test_it_says_which_release_stands(fleet: Fleet, run_dag, monkeypatch):
    """Also when it is started by hand."""
    connect(monkeypatch, fleet.cluster.http_port)
    assert run_dag(load("phase2_declarative_rollout"), release="3.1.4")["run"] == "success"
    dag = load("event_driven_after_rollout")
    assert set(run_dag(dag).values()) == {"success"}
    assert pull_xcom(dag.dag_id, "recompute_prices") == dict.fromkeys(TIERS, "3.1.4")
