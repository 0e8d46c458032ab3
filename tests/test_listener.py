"""A watcher's cursor is stored with its event, in one transaction of Airflow's database."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from airflow import settings
from airflow.listeners.listener import get_listener_manager
from airflow.listeners.types import AssetEvent as ListenerEvent
from airflow.models.asset import AssetActive, AssetEvent, AssetModel, AssetWatcherModel
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.event import DesiredStateChangedTrigger
from tests.support.factory import make_change
from tests.support.watching import AssetStore, Events, running

pytest.importorskip("airflow.state", reason="Airflow 3.2 gives assets no store")
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.state import AssetScope, get_state_backend

GENERATIONS = 12
TRIGGER = DesiredStateChangedTrigger(environment="demo", tier="web")


class WatchedAsset(AssetStore):
    """An asset in Airflow's database; its watcher's events are written as by a triggerer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        with create_session() as session:
            asset = AssetModel(name=name, uri=name)
            trigger = Trigger(*TRIGGER.serialize())
            session.add_all([asset, trigger])
            session.flush()
            session.add(AssetActive.for_asset(asset))
            session.add(AssetWatcherModel(name="w", asset_id=asset.id, trigger_id=trigger.id))
            self.asset_id, self.trigger_id = asset.id, trigger.id

    async def aget(self, key: str) -> Any:
        """What is stored, or None."""
        return json.loads(get_state_backend().get(AssetScope(asset_id=self.asset_id), key) or "null")

    async def aset(self, key: str, value: Any) -> None:
        """Store."""
        get_state_backend().set(AssetScope(asset_id=self.asset_id), key, json.dumps(value))
        self.is_set.set()

    def persist(self, payload: dict[str, Any]) -> None:
        """Write an event."""
        Trigger.submit_event(self.trigger_id, TriggerEvent(payload))

    @property
    def events(self) -> list[str]:
        """The keys of the events in the database."""
        with create_session() as session:
            events = session.scalars(select(AssetEvent).where(AssetEvent.asset_id == self.asset_id))
            return [event.extra["payload"]["key"] for event in events]


@pytest.fixture
def asset(airflow_database, request):
    """The test's own asset."""
    made = WatchedAsset(f"consul://consul_default/demo/{request.node.name}")
    yield made
    with create_session() as session:
        session.execute(delete(AssetWatcherModel).where(AssetWatcherModel.asset_id == made.asset_id))
        session.execute(delete(Trigger).where(Trigger.id == made.trigger_id))


def make_payload(generation: int, key: str = TRIGGER.cursor_key) -> dict[str, Any]:
    """A payload as the trigger sends it."""
    return {"key": f"demo/web@{generation}", "cursor": {"key": key, "told": {"web": generation}}}


async def test_cursor_is_stored_with_the_event(asset):
    """With Airflow's own code for writing a trigger's event."""
    asset.persist(make_payload(3))
    assert asset.events == ["demo/web@3"]
    assert await asset.aget(TRIGGER.cursor_key) == {"web": 3}


async def test_both_or_none(asset, monkeypatch):
    """A triggerer killed before the commit leaves neither."""

    def die(self) -> None:
        raise KeyboardInterrupt

    asset.persist(make_payload(3))
    with monkeypatch.context() as patch:
        patch.setattr("sqlalchemy.orm.Session.commit", die)
        with pytest.raises(KeyboardInterrupt):
            asset.persist(make_payload(4))
    assert asset.events == ["demo/web@3"]
    assert await asset.aget(TRIGGER.cursor_key) == {"web": 3}


@pytest.mark.parametrize("payload", [None, "text", {}, {"cursor": 3}, make_payload(3, key="somebody/else")])
def test_events_of_others_are_left_alone(asset, payload):
    """Other providers' triggers may send anything."""
    asset.persist(payload)
    with create_session() as session:
        stored = session.scalars(
            select(AssetStateStoreModel).where(AssetStateStoreModel.asset_id == asset.asset_id)
        ).all()
    assert stored == []


@pytest.mark.parametrize("copy", [{"source_task_id": "forward"}, {"extra": {"from_rest_api": True}}, {}])
def test_a_copied_event_touches_no_session(airflow_database, copy):
    """A task that forwards an event, and the REST API, use their own sessions."""
    extra = {"from_trigger": True, "payload": make_payload(9), **copy.get("extra", {})}
    event = ListenerEvent(Asset("copied"), extra, None, copy.get("source_task_id"), None, None, [], None)
    get_listener_manager().hook.on_asset_event_emitted(asset_event=event)
    assert not settings.Session().in_transaction()


async def test_kills_lose_and_repeat_nothing(asset, consul_connection, monkeypatch):
    """However often the triggerer is killed between events, each generation is reported once."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.watcher._APART", 0)
    chance = random.Random(5)
    async with ConsulHook(consul_connection).open_view() as view:
        async with running(TRIGGER, asset):
            await asset.is_set.wait()
        written = 0
        while len(asset.events) < GENERATIONS:
            more = min(chance.randint(1, 4), GENERATIONS - written)
            for number in range(written, written + more):
                await write(view, "demo", {"web": make_change(values={"release": f"{number}"}, sequence=None)})
            written += more
            events: Events
            async with running(TRIGGER, asset) as events:
                await events.reach(written - len(asset.events))
                for payload in events[: chance.randint(0, len(events))]:  # the others are lost with the process
                    asset.persist(payload)
    assert asset.events == [f"demo/web@{generation}" for generation in range(1, GENERATIONS + 1)]
