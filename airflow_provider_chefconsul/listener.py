"""Stores how far an asset's watcher has told, in the transaction that writes the event.

Airflow calls this in the triggerer, between an event's insertion and its commit. The triggers cannot do it: what they
store is written before the event, which would then be lost when the triggerer is killed, or after, and then repeated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.listeners.types import AssetEvent


@hookimpl
def on_asset_event_emitted(asset_event: AssetEvent) -> None:
    """Store the cursor that one of this package's triggers sent along."""
    payload = asset_event.extra.get("payload")
    cursor = payload.get("cursor") if asset_event.extra.get("from_trigger") and isinstance(payload, dict) else None
    if not isinstance(cursor, dict) or not str(cursor.get("key")).startswith("chefconsul/"):
        return
    if asset_event.source_task_id is not None or "from_rest_api" in asset_event.extra:
        return  # a copy that a task or a user made of what a trigger had sent
    try:
        from airflow.state import AssetScope, get_state_backend
    except ImportError:  # Airflow 3.2 gives assets no store
        return
    from airflow import settings
    from airflow.models.asset import AssetModel
    from sqlalchemy import select

    assert settings.Session is not None
    session = settings.Session()  # the thread's own, which holds the event
    if not session.in_transaction():
        return  # it is in another one, and nobody would commit what is stored here
    asset = asset_event.asset
    asset_id = session.scalar(select(AssetModel.id).where(AssetModel.name == asset.name, AssetModel.uri == asset.uri))
    get_state_backend().set(
        AssetScope(asset_id=asset_id), str(cursor["key"]), json.dumps(cursor["told"]), session=session
    )
