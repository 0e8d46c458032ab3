"""Viewers of a hub's feeds, without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from airflow_provider_chefconsul.consul.orphan import FindRunEnds
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.ui.feed import Hub
from airflow_provider_chefconsul.ui.stream import stream

PATIENCE = 60  # seconds that nothing here should need, on however slow a machine
Event = tuple[str, dict[str, Any]]


class Reader:
    """Somebody who may read these Dags, or all, and may steer those that they wrote, or none."""

    def __init__(self, *dag_ids: str, may_edit: bool = False, may_trigger: bool = False) -> None:
        self._dag_ids = dag_ids
        self._may_trigger = may_trigger
        self.may_edit = may_edit

    async def learn_rights(self, owners: Iterable[Writer]) -> None:
        """Nothing to find out."""

    def may_steer(self, owner: Writer) -> bool:
        """Whether tiers with this owner may be moved."""
        return self.may_edit if owner.is_person else self._may_trigger and self.may_read(owner.dag_id)

    async def learn(self, dag_ids: Iterable[str]) -> None:
        """Nothing to find out."""

    def may_read(self, dag_id: str) -> bool:
        """Whether a Dag's names may be shown."""
        return not self._dag_ids or dag_id in self._dag_ids


def find_run_ends(ends: Mapping[DagRun, RunEnd]) -> FindRunEnds:
    """What asks an Airflow in which those Dag runs have ended."""

    def find(runs: Collection[DagRun]) -> Mapping[DagRun, RunEnd]:
        return {run: ends[run] for run in runs if run in ends}

    return find


class BoardUser:
    """One who looks at an environment; use as an async context manager."""

    def __init__(
        self,
        hub: Hub,
        *tiers: str,
        reader: Reader | None = None,
        connection: str = "consul_default",
        ends: Mapping[DagRun, RunEnd] | FindRunEnds | None = None,
    ) -> None:
        self.events: list[Event] = []
        asks = ends if callable(ends) else find_run_ends({} if ends is None else ends)
        self._events = self._read(stream(hub, reader or Reader(), connection, "demo", tiers, find_run_ends=asks))

    async def until(self, name: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next event of that name of which that holds."""
        async with asyncio.timeout(PATIENCE):
            async for found, fields in self._events:
                self.events.append((found, fields))
                if found == name and holds(fields):
                    return fields
        raise AssertionError(f"the stream ended without {name}")

    async def __aenter__(self) -> BoardUser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.aclose()

    @staticmethod
    async def _read(chunks: AsyncGenerator[str]) -> AsyncGenerator[Event]:
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk.startswith("event: "):
                    name, _, data = chunk.removeprefix("event: ").partition("\ndata: ")
                    yield name, json.loads(data)


async def until_idle(hub: Hub) -> None:
    """Wait until nobody looks and all sources have ended."""
    async with asyncio.timeout(PATIENCE):
        while not hub.is_idle:  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(0.01)
