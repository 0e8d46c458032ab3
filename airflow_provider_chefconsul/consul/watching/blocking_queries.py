"""Blocking queries, each of which runs until something that it tells of may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

Query = Callable[[int, timedelta], Awaitable[int]]
"""Returns Consul's index: at once for index 0, else as soon as it differs, or after the time given."""

_EARLY = 0.9  # share of its wait; a query that ends sooner without news was cut by a proxy


class BlockingQueries:
    """The blocking queries of a watch."""

    def __init__(self, client: ConsulClient, queries: Mapping[str, Query], indexes: dict[str, int]) -> None:
        self.tasks: dict[asyncio.Task[int], tuple[str, float, float]] = {}  # name, start and wait
        self.indexes = indexes
        """By query, Consul's index at its last news."""
        self._client = client
        self._queries = queries
        self._waits = dict.fromkeys(queries, SHORTEST_WAIT)

    def begin(self, names: Collection[str]) -> None:
        """Start those of these queries that are not blocking, with a longer wait each time."""
        at_work = {name for name, _, _ in self.tasks.values()}
        for name in set(names) - at_work:
            wait = min(self._waits[name], self._client.longest_wait)
            self._waits[name] = wait * 2
            task = asyncio.ensure_future(self._queries[name](self.indexes[name], wait))
            self.tasks[task] = (name, monotonic(), wait.total_seconds())

    def has_ended(self) -> bool:
        """Whether a query has news, or has failed."""
        return any(task.done() for task in self.tasks)

    def collect(self) -> dict[str, int | None]:
        """The new indexes of queries that have news; None for one that a proxy cut, since it may have missed some."""
        news: dict[str, int | None] = {}
        for task in [task for task in self.tasks if task.done()]:
            name, began, wait = self.tasks.pop(task)
            index = task.result()
            if monotonic() - began < _EARLY * wait and index == self.indexes[name]:
                news[name] = None
            elif index != self.indexes[name]:
                news[name] = index
            self.indexes[name] = index
        return news

    async def end(self) -> None:
        """Cancel all queries."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
