"""One source however many viewers: it runs while somebody looks, and recovers by itself."""

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
    """What a source said last, for its viewers.

    :param source: opens the source anew each time that it failed.
    """

    def __init__(self, source: Source[T]) -> None:
        self.latest: T | None = None
        self.trouble: ChefConsulError | None = None
        self.viewers: set[asyncio.Event] = set()
        self._source = source
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._wake())

    def check(self) -> None:
        """Raise what ended the feed, if anything did that it cannot recover from."""
        if self._task.done():
            self._task.result()

    def stop(self) -> asyncio.Task[None]:
        """End the source; it does so in the returned task."""
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
    """The feeds that somebody looks at, by what they are of."""

    def __init__(self) -> None:
        self._feeds: dict[Hashable, Feed[Any]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody looks, and every source has ended."""
        return not self._feeds and not self._ending

    def latest(self, key: Hashable) -> Any | None:
        """What the feed of that key said last; None when nobody looks at it."""
        feed = self._feeds.get(key)
        return feed.latest if feed and not feed.trouble else None

    @contextmanager
    def follow(self, key: Hashable, source: Source[T], viewer: asyncio.Event) -> Iterator[Feed[T]]:
        """The feed of that key, which others may follow too; the last one to leave ends it.

        Leaving awaits nothing, so that a request which is being cancelled can.

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
