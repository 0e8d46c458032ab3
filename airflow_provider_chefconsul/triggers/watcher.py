"""What the event triggers share: one stream for all watchers that look at the same, and a cursor for each.

Airflow writes an event into its database in one transaction; a trigger could store its cursor only afterwards, and a
triggerer that is killed in between would send the event again. So each event carries the cursor that applies once it
is written, and :mod:`airflow_provider_chefconsul.listener` stores that in the event's own transaction.
"""

from __future__ import annotations

import asyncio
import json
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_chefconsul.domain.event.cursor import Cursor, read_cursor
from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)
_CONSUL_PATIENCE = timedelta(seconds=5)  # then the log says that Consul is away; the watch goes on
_PAUSE = 2.0  # seconds before Consul, the connection or the store is tried again
# The scheduler starts one run for all events that it finds together, and lists only the first of them there; the others
# are listed by the run that the next event starts, which may be long in coming.
_APART = 2.0  # seconds between two events of a watcher
# A watcher that joins the stream late, or could not look again in time, sees the tiers without waiting for a change.
_REPEAT = 3.0  # seconds


class WatcherTrigger(BaseEventTrigger):
    """
    Sends events of an environment for as long as it runs: it never returns or raises.

    With Airflow 3.3 it goes on where it stopped. With 3.2, which gives triggers no store, each start is a first one.
    State that exists when the watcher first starts triggers nothing.

    :param environment: the environment to watch.
    :param tier: a tier, several, or None for all of the environment.
    :param consul_conn_id: id of a connection of type ``consul``.
    """

    kind: str

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str] | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
    ) -> None:
        super().__init__()
        self.environment = check_name("environment", environment)
        self.tiers = None if tier is None else sorted(set(check_tiers(environment, tier)))
        self.consul_conn_id = consul_conn_id
        self._is_ambiguous = False  # whether several assets have this watcher

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"environment": self.environment, "tier": self.tiers, "consul_conn_id": self.consul_conn_id},
        )

    @property
    def cursor_key(self) -> str:
        """The key of the cursor in the asset's store; the same whatever the policy."""
        scope = json.dumps([self.consul_conn_id, self.environment, self.tiers])
        return f"chefconsul/{self.kind}/{sha256(scope.encode()).hexdigest()[:16]}"

    @abstractmethod
    def shared_stream_key(self) -> Hashable:
        """What watchers must have in common to share a stream."""

    @abstractmethod
    def _watch(self, view: SharedView) -> AsyncGenerator[Any]:
        """What is to be watched, as it is now and after each change; may end with a :class:`ChefConsulError`."""

    @abstractmethod
    async def _begin(self, seen: Any) -> Cursor | None:
        """The cursor of a watcher that begins with what it sees; None when it cannot begin yet."""

    @abstractmethod
    def _find_events(self, seen: Any, cursor: Cursor) -> AsyncIterator[tuple[dict[str, Any], Cursor]]:
        """Payloads of events that are ahead of the cursor, each with the part of the cursor that it moves."""

    def _interrupt(self) -> None:
        """Take notice that nobody looked for a while: what was seen before may have changed meanwhile."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Send events from a stream of its own; Airflow 3.3 runs :meth:`filter_shared_stream` instead."""
        _, kwargs = self.serialize()
        async for event in self.filter_shared_stream(self.open_shared_stream(kwargs)):
            yield event

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """What is to be watched, repeated every few seconds; None when it could not be seen for a while."""
        one = cls(**kwargs)
        trouble = ""
        while True:
            try:
                async with (
                    ConsulHook(one.consul_conn_id).open_view(patience=_CONSUL_PATIENCE) as view,
                    aclosing(repeat(one._watch(view), _REPEAT)) as watch,
                ):
                    async for seen in watch:
                        if trouble:
                            log.info("%s: watching %s again", cls.__name__, one.environment)
                            trouble = ""
                        yield seen
            except (ChefConsulError, AirflowException, AirflowRuntimeError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log.warning("%s: cannot watch %s, trying again: %s", cls.__name__, one.environment, trouble)
            yield None
            await asyncio.sleep(_PAUSE)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """This trigger's events, from a stream that it shares with others."""
        cursor = await self._load()
        next_at = 0.0
        async for seen in shared_stream:
            if seen is None:
                self._interrupt()
            elif cursor is None:
                cursor = await self._begin(seen)
                if cursor is not None:
                    self.log.info("Watching %s from %s on", self.environment, dict(cursor) or "the beginning")
                    await self._store(cursor)
            else:
                async for payload, moved in self._find_events(seen, cursor):
                    cursor = {**cursor, **moved}
                    await asyncio.sleep(next_at - monotonic())
                    next_at = monotonic() + _APART
                    yield TriggerEvent({**payload, "cursor": {"key": self.cursor_key, "told": cursor}})

    async def _load(self) -> Cursor | None:
        while self._has_store:
            try:
                return read_cursor(await self._asset_store.aget(self.cursor_key))
            except AirflowRuntimeError as error:
                self.log.warning("Cannot read the cursor of %s, trying again: %s", self.environment, error)
            except ValueError as error:
                self.log.warning(
                    "Several assets have this watcher; give each its own, or there will be no events for what happens "
                    "in %s while no triggerer runs: %s", self.environment, error,
                )  # fmt: skip
                self._is_ambiguous = True
            await asyncio.sleep(_PAUSE)
        return None

    async def _store(self, cursor: Cursor) -> None:
        """Store where the watcher begins; later the events' own transactions store how far it has come."""
        while self._has_store:
            try:
                await self._asset_store.aset(self.cursor_key, dict(cursor))
            except AirflowRuntimeError as error:
                self.log.warning("Cannot store the cursor of %s, trying again: %s", self.environment, error)
            else:
                return
            await asyncio.sleep(_PAUSE)

    @property
    def _asset_store(self) -> Any:
        """The store of the asset that is watched; None with Airflow 3.2, or outside a triggerer."""
        return getattr(self, "asset_state_store", None)

    @property
    def _has_store(self) -> bool:
        return self._asset_store is not None and not self._is_ambiguous


async def repeat(source: AsyncGenerator[Any], seconds: float) -> AsyncGenerator[Any]:
    """What the source yields; and its last value again after so many seconds without a new one."""
    async with aclosing(source):
        coming: asyncio.Task[Any] = asyncio.create_task(anext(source))
        last: list[Any] = []
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=seconds)
                if done:
                    last = [coming.result()]
                    coming = asyncio.create_task(anext(source))
                for seen in last:
                    yield seen
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
