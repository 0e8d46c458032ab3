"""Stores the cursor of an asset's watcher in the transaction that writes its event.

Airflow calls this in the triggerer, after it has inserted the event and before it commits. The triggers cannot do it:
if the triggerer were killed in between, a cursor stored first would lose the event, and one stored afterwards would
repeat it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.listeners.types import AssetEvent


@hookimpl
def on_asset_event_emitted(asset_event: AssetEvent) -> None:
    """Store the cursor that one of this package's triggers sent with its event."""
    payload = asset_event.extra.get("payload")
    cursor = payload.get("cursor") if asset_event.extra.get("from_trigger") and isinstance(payload, dict) else None
    if not isinstance(cursor, dict) or not str(cursor.get("key")).startswith("chefconsul/"):
        return
    if asset_event.source_task_id is not None or "from_rest_api" in asset_event.extra:
        return  # a task or a user copied the event of a trigger
    try:
        from airflow.state import AssetScope, get_state_backend
    except ImportError:  # Airflow 3.2 gives assets no store
        return
    from airflow import settings
    from airflow.models.asset import AssetModel
    from sqlalchemy import select

    assert settings.Session is not None
    session = settings.Session()  # this thread's session, which holds the event
    if not session.in_transaction():
        return  # another session holds the event; nobody would commit what is stored here
    asset = asset_event.asset
    asset_id = session.scalar(select(AssetModel.id).where(AssetModel.name == asset.name, AssetModel.uri == asset.uri))
    get_state_backend().set(
        AssetScope(asset_id=asset_id), str(cursor["key"]), json.dumps(cursor["told"]), session=session
    )
