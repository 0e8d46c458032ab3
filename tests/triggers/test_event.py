"""The event triggers against a real Consul: what they send, and what they send after a restart."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.event import DesiredStateChangedTrigger, TierConvergedTrigger
from tests.support.airflow_home import connect
from tests.support.factory import make_change, make_policy, make_report
from tests.support.progress import PATIENCE
from tests.support.watching import AssetStore, running

TIER = {"environment": "demo", "tier": "web"}


@pytest.fixture
async def view(consul_connection):
    """The orchestrator's view."""
    async with ConsulHook(consul_connection).open_view() as opened:
        yield opened


async def declare(view, release: str, tier: str = "web", **overrides) -> int:
    """Declare a release, and return the generation."""
    written = await write(view, "demo", {tier: make_change(values={"release": release}, sequence=None, **overrides)})
    return written.generations[tier]


def report(keys, node: str, generation: int, tier: str = "web", **overrides) -> None:
    """Let a node report."""
    document = make_report(node, tier=tier, generation=generation, **overrides)
    keys[f"demo/{tier}/nodes/{node}"] = document.to_json()


async def begun(store: AssetStore) -> None:
    """Wait until the watcher has stored where it begins."""
    async with asyncio.timeout(PATIENCE):
        await store.is_set.wait()


async def test_changes_are_events_and_what_existed_before_is_not(view):
    """One event for each generation since the watcher began."""
    await declare(view, "1")
    store = AssetStore()
    async with running(DesiredStateChangedTrigger(**TIER), store) as events:
        await begun(store)
        for release in ("2", "3"):
            await declare(view, release)
        await events.reach(2)
    assert events.keys == ["demo/web@2", "demo/web@3"]
    assert [event["values"]["release"] for event in events] == ["2", "3"]
    assert events[-1]["cursor"]["told"] == {"web": 3}


async def test_changes_while_no_triggerer_ran_are_events(view):
    """They are in the history."""
    trigger, store = DesiredStateChangedTrigger(**TIER), AssetStore()
    async with running(trigger, store):
        await begun(store)
    for release in ("1", "2", "3"):
        await declare(view, release)
    async with running(trigger, store) as events:
        await events.reach(3)
    assert events.keys == ["demo/web@1", "demo/web@2", "demo/web@3"]


async def test_gap_is_counted(view, consul_kv):
    """What the history has lost is counted."""
    trigger, store = DesiredStateChangedTrigger(**TIER), AssetStore()
    async with running(trigger, store):
        await begun(store)
    for release in ("1", "2", "3"):
        await declare(view, release)
    for generation in (1, 2):
        del consul_kv[f"demo/_history/web/{generation:012d}"]
    async with running(trigger, store) as events:
        await events.reach(1)
    assert (events.keys, events[0]["missed"]) == (["demo/web@3"], 2)


async def test_widening_and_taking_back_tell_nothing(view, members):
    """They make no generation; that the canary appeared was an event."""
    members("web-1", "web-2", "web-3")
    await declare(view, "1")
    store = AssetStore()
    async with running(DesiredStateChangedTrigger(**TIER), store) as events:
        await begun(store)
        for canary in (1, 2):
            await declare(view, "2", canary=Wave.parse(canary))
        await declare(view, "1")
        await declare(view, "3")
        await events.reach(2)
    assert [(event["key"], event["canary"]) for event in events] == [("demo/web@2", True), ("demo/web@3", False)]


async def test_convergence_is_one_event(view, consul_kv, members):
    """Not before all nodes are there, nor again when they report again."""
    members("web-1", "web-2")
    store = AssetStore()
    async with running(TierConvergedTrigger(**TIER), store) as events:
        await begun(store)
        for generation in (1, 2):
            assert await declare(view, f"{generation}") == generation
            report(consul_kv, "web-1", generation)
            report(consul_kv, "web-2", generation, run_id="first")
            await events.reach(generation)
            report(consul_kv, "web-2", generation, run_id="again")
    assert events.keys == ["demo/web@1", "demo/web@2"]
    assert events[0]["tiers"]["web"]["nodes"] == {"converged": 2}


async def test_what_converged_before_the_watcher_began_is_no_event(view, consul_kv, members):
    """Nobody expects a run because a Dag was deployed; after a restart, though, it is news."""
    members("web-1")
    await declare(view, "1")
    report(consul_kv, "web-1", 1)
    trigger, store = TierConvergedTrigger(**TIER), AssetStore()
    async with running(trigger, store) as events:
        await begun(store)
    assert list(events) == []
    await declare(view, "2")
    report(consul_kv, "web-1", 2)
    async with running(trigger, store) as events:
        await events.reach(1)
    assert events.keys == ["demo/web@2"]


async def test_superseded_generation_is_no_event(view, consul_kv, members):
    """Only what a tier really converged on."""
    members("web-1")
    store = AssetStore()
    async with running(TierConvergedTrigger(**TIER), store) as events:
        await begun(store)
        await declare(view, "1")
        await declare(view, "2")
        report(consul_kv, "web-1", 2)
        await events.reach(1)
    assert events.keys == ["demo/web@2"]


async def test_environment_converges_with_its_last_tier(view, consul_kv, members):
    """Tiers that are declared later count too; a tier in another state holds the environment up."""
    members("web-1")
    members("db-1", tier="db")
    store = AssetStore()
    async with running(TierConvergedTrigger(environment="demo", state="converged"), store) as events:
        await begun(store)
        await declare(view, "1", state="off")
        report(consul_kv, "web-1", 1, state="off")
        await declare(view, "1", tier="db")
        report(consul_kv, "db-1", 1, tier="db")
        await declare(view, "2")
        report(consul_kv, "web-1", 2)
        await events.reach(1)
    assert events.keys == ["demo/db@1,web@2"]


async def test_watcher_outlives_trouble(view, consul_kv, members, monkeypatch, cluster, consul_root, free_port, caplog):
    """A connection that leads nowhere is tried again; the watcher neither ends nor takes anything for converged."""
    members("web-1")
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.watcher._PAUSE", 0.1)
    connect(monkeypatch, free_port, prefix=consul_root)
    store = AssetStore()
    async with running(TierConvergedTrigger(**TIER), store) as events:
        async with asyncio.timeout(PATIENCE):
            while "cannot watch demo, trying again" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        connect(monkeypatch, cluster.http_port, prefix=consul_root)
        await begun(store)
        await declare(view, "1")
        report(consul_kv, "web-1", 1)
        await events.reach(1)
    assert events.keys == ["demo/web@1"]


async def test_without_a_store_each_start_is_a_first_one(view):
    """As with Airflow 3.2: what was written meanwhile gives no event, and nothing gives two."""
    await declare(view, "1")
    trigger = DesiredStateChangedTrigger(**TIER)
    stream = trigger.run()
    coming = asyncio.create_task(anext(stream))
    async with asyncio.timeout(PATIENCE):
        release = 2
        while not coming.done():
            await declare(view, f"{release}")
            release += 1
            await asyncio.wait({coming}, timeout=0.5)
    assert coming.result().payload["generation"] > 1
    await stream.aclose()


async def test_watcher_of_several_assets_goes_on(view, monkeypatch):
    """Airflow gives it no store that is its own, and it must not end because of that."""

    class StoresOfTwo(AssetStore):
        async def aget(self, key: str) -> None:
            raise ValueError("Task has 2 concrete inlets and outlets")

    monkeypatch.setattr("airflow_provider_chefconsul.triggers.watcher._PAUSE", 0)
    async with running(DesiredStateChangedTrigger(**TIER), StoresOfTwo()) as events:
        async with asyncio.timeout(PATIENCE):
            release = 1
            while not events:
                await declare(view, f"{release}")
                release += 1
                await asyncio.sleep(0.2)
    assert events[0]["key"].startswith("demo/web@")


async def test_watchers_of_one_environment_share_a_stream(view, consul_connection, monkeypatch):
    """Airflow's own manager opens one; each gets its own events, also one that comes when nothing changes any more."""
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow 3.2 shares no streams")
    opened = 0
    watch = DesiredStateChangedTrigger._watch

    def count(self, view):
        nonlocal opened
        opened += 1
        return watch(self, view)

    monkeypatch.setattr(DesiredStateChangedTrigger, "_watch", count)
    await declare(view, "1", tier="web")
    await declare(view, "1", tier="db")
    manager, keys = shared_stream.SharedStreamManager(), {}

    async def run(number: int, tier: str) -> None:
        trigger = DesiredStateChangedTrigger(environment="demo", tier=tier)
        trigger.asset_state_store = store = AssetStore()
        await store.aset(trigger.cursor_key, {})
        key = trigger.shared_stream_key()
        stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        keys[tier] = (await anext(trigger.filter_shared_stream(stream))).payload["key"]

    try:
        async with asyncio.timeout(PATIENCE):
            await run(1, "web")
            await run(2, "db")
    finally:
        await manager.stop_all()
    assert keys == {"web": "demo/web@1", "db": "demo/db@1"}
    assert opened == 1


def test_what_is_shared():
    """Watchers that see the same share a stream, whatever they make of it; others do not."""
    one = TierConvergedTrigger(**TIER)
    assert one.shared_stream_key() == TierConvergedTrigger(**TIER, policy=make_policy(max_failed=1)).shared_stream_key()
    others = [
        TierConvergedTrigger(environment="demo"),
        TierConvergedTrigger(**TIER, members=["web-1"]),
        TierConvergedTrigger(**TIER, consul_conn_id="other"),
        DesiredStateChangedTrigger(**TIER),
    ]
    keys = [one.shared_stream_key(), *(other.shared_stream_key() for other in others)]
    assert len(set(keys)) == len(keys)
    assert len({one.cursor_key, *(other.cursor_key for other in others)} - {one.cursor_key}) == 3  # members apart
