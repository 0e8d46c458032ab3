"""An event trigger that runs as in a triggerer: its events are recorded, and it is killed in mid-flight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from tests.support.progress import PATIENCE


class AssetStore:
    """The part of an asset's store that a trigger uses; values are kept as JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_set = asyncio.Event()

    async def aget(self, key: str) -> Any:
        """The stored value, or None."""
        return json.loads(self.values.get(key, "null"))

    async def aset(self, key: str, value: Any) -> None:
        """Store a value."""
        self.values[key] = json.dumps(value)
        self.is_set.set()


class Events(list[dict[str, Any]]):
    """The payloads that a trigger has sent, which tests can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.has_more = asyncio.Event()

    async def reach(self, count: int) -> None:
        """Wait until there are this many."""
        async with asyncio.timeout(PATIENCE):
            while len(self) < count:
                self.has_more.clear()
                await self.has_more.wait()

    @property
    def keys(self) -> list[str]:
        """The key of each event."""
        return [payload["key"] for payload in self]


@asynccontextmanager
async def running(trigger: Any, store: Any) -> AsyncIterator[Events]:
    """Run a copy of the trigger that went through the database, until it is killed at the end of the context.

    :raises AssertionError: the trigger returned, which a watcher never may; what it raised is raised.
    """
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    stored = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    stored.asset_state_store = store
    events = Events()

    async def run() -> None:
        async for event in stored.run():
            events.append(json.loads(json.dumps(event.payload)))
            events.has_more.set()

    task = asyncio.create_task(run())
    try:
        yield events
    finally:
        is_over = task.done()
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert not is_over, f"the watcher ended: {result!r}"
