"""What a fleet writes: in order, and as many operations in one transaction as Consul takes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

_PAUSE = 0.5  # seconds between two tries while Consul is away


class Outbox:
    """A queue of operations; one transaction is under way at a time, so later ones never overtake.

    Every operation sets or deletes something by name, so a transaction whose answer was lost is simply repeated.
    """

    def __init__(self, client: ConsulClient) -> None:
        self._client = client
        self._queue: deque[Operation] = deque()
        self._has_some = asyncio.Event()
        self._added = self._written = 0
        self._news = asyncio.Condition()

    def put(self, key: str, text: str) -> None:
        """Write a key, in its turn."""
        self.add(Operation.set_key(key, text))

    def add(self, *operations: Operation) -> None:
        """Apply operations, in their turn."""
        self._queue.extend(operations)
        self._added += len(operations)
        self._has_some.set()

    async def settle(self) -> None:
        """Wait until all that has been added so far is written."""
        added = self._added
        async with self._news:
            await self._news.wait_for(lambda: self._written >= added)

    async def run(self) -> None:
        """Write what is queued, until cancelled; Consul may be away for a while.

        :raises ConsulError: Consul refused.
        """
        while True:
            await self._has_some.wait()
            batch = [self._queue[position] for position in range(min(LONGEST_TRANSACTION, len(self._queue)))]
            try:
                await self._client.transact(batch)
            except ConsulUnavailable:
                await asyncio.sleep(_PAUSE)
                continue
            for _ in batch:
                self._queue.popleft()
            self._written += len(batch)
            async with self._news:
                self._news.notify_all()
            if not self._queue:
                self._has_some.clear()


async def apply_all(client: ConsulClient, operations: Sequence[Operation]) -> None:
    """Apply many operations now, one transaction after the other."""
    for start in range(0, len(operations), LONGEST_TRANSACTION):
        await client.transact(operations[start : start + LONGEST_TRANSACTION])
