"""One source for any number of viewers; it runs while there are viewers, and recovers by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Generic, TypeVar

from airflow_provider_chefconsul.exceptions import ChefConsulError

T = TypeVar("T")
Source = Callable[[], AsyncGenerator[T]]

_BACKOFF = 1.0  # seconds between two tries while the source fails


class Feed(Generic[T]):
    """The latest state of a source, for its viewers.

    :param source: opens the source, again after each failure.
    """

    def __init__(self, source: Source[T]) -> None:
        self.latest: T | None = None
        self.trouble: ChefConsulError | None = None
        self.viewers: set[asyncio.Event] = set()
        self._source = source
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._wake())

    def check(self) -> None:
        """Raise the error that ended the feed, if any."""
        if self._task.done():
            self._task.result()

    def stop(self) -> asyncio.Task[None]:
        """End the source; the returned task completes once it has ended."""
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._source()) as states:
                    async for state in states:
                        self.latest, self.trouble = state, None
                        self._wake()
            except ChefConsulError as error:
                self.trouble = error
                self._wake()
            await asyncio.sleep(_BACKOFF)

    def _wake(self) -> None:
        for viewer in self.viewers:
            viewer.set()


class Hub:
    """The feeds that have viewers, by key."""

    def __init__(self) -> None:
        self._feeds: dict[Hashable, Feed[Any]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether there are no viewers and every source has ended."""
        return not self._feeds and not self._ending

    def latest(self, key: Hashable) -> Any | None:
        """The latest state of a feed; None without viewers, or while its source fails."""
        feed = self._feeds.get(key)
        return feed.latest if feed and not feed.trouble else None

    @contextmanager
    def follow(self, key: Hashable, source: Source[T], viewer: asyncio.Event) -> Iterator[Feed[T]]:
        """Follow the feed under a key, which viewers share; the last one to leave ends it.

        Leaving awaits nothing, so it also works in a request that is being cancelled.

        :param viewer: set whenever the feed has something new.
        """
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(source)
        feed.viewers.add(viewer)
        try:
            yield feed
        finally:
            feed.viewers.discard(viewer)
            if not feed.viewers:
                del self._feeds[key]
                task = feed.stop()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
