"""Topics, which a watch reads, and subscriptions, through which viewers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_chefconsul.consul.watching.pace import Pace
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

T = TypeVar("T")


class TopicReader(Protocol):
    """Reads topics."""

    trouble: Trouble | None
    failure: Exception | None

    def ask(self) -> None:
        """Look again at what is due, and how long to rest."""


class Viewer(asyncio.Event):
    """Set whenever there is something new, or Consul becomes unavailable."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: set[Topic[Any]] = set()
        self.seconds_left: float | None = None
        self._pace = Pace()

    def expect(self, missing: int) -> None:
        """Say how much of what the viewer waits for is missing, after the last read: near the end, reads rest less."""
        if self.topics:
            topic = max(self.topics, key=lambda topic: topic.began_at)
            self.seconds_left = self._pace.seconds_left(missing, at=topic.began_at, since=topic.stale_at)
            topic.watch.ask()


@dataclass(eq=False, slots=True)
class Topic(Generic[T]):
    """Something that is watched, and its viewers.

    :param watch: what reads it now.
    :param causes: the names of the watch's queries that tell of a change.
    :param seen: by cause, Consul's index up to which the last read has seen all changes.
    :param is_stale: whether there is news that has not been read.
    :param stale_at: when the news came that made it stale last, by the monotonic clock.
    :param began_at: when the last read began.
    :param rested_at: when the last read because of news ended.
    :param begun: the number of the last read that began.
    :param done: the number of the last read that ended.
    :param needed: the number of the last read that a viewer waits for.
    :param awaiting: the viewers that wait for their first read, with its number.
    """

    watch: TopicReader
    causes: frozenset[str]
    latest: T | None = None
    failure: ChefConsulError | None = None
    begun: int = 0
    done: int = 0
    needed: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)
    is_stale: bool = True
    stale_at: float = 0.0
    began_at: float = 0.0
    rested_at: float = 0.0
    viewers: set[Viewer] = field(default_factory=set)
    awaiting: dict[Viewer, int] = field(default_factory=dict)

    @property
    def is_due(self) -> bool:
        """Whether a viewer waits for a read that has not begun."""
        return self.needed > self.begun

    @property
    def seconds_left(self) -> float | None:
        """The shortest time that a viewer says is left; None if none can tell."""
        return min((viewer.seconds_left for viewer in self.viewers if viewer.seconds_left is not None), default=None)

    def wake(self) -> None:
        """Wake all viewers."""
        for viewer in self.viewers:
            viewer.set()

    def outdate(self) -> None:
        """Have it read soon, without rest."""
        self.is_stale, self.rested_at = True, 0.0

    def has_seen(self, indexes: Mapping[str, int | None]) -> bool:
        """Whether the last read has seen all changes up to these indexes; nobody knows of None."""
        return all(indexes[cause] == self.seen.get(cause, 0) for cause in self.causes & indexes.keys())

    def begin(self) -> int:
        """Begin a read and return its number."""
        self.begun += 1
        return self.begun

    def finish(self, number: int, found: T | ChefConsulError) -> None:
        """End a read with its result, or with an error of this topic only."""
        before = (self.latest, self.failure)
        self.latest, self.failure = (None, found) if isinstance(found, ChefConsulError) else (found, None)
        self.done = number
        awaiting = {viewer for viewer, needed in self.awaiting.items() if needed <= number}
        for viewer in awaiting:
            del self.awaiting[viewer]
        has_changed = self.latest is not before[0] or self.failure is not before[1]
        for viewer in self.viewers if has_changed else awaiting:
            viewer.set()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why Consul is unavailable, and since when by the monotonic clock."""

    error: ConsulUnavailable
    since: float


@dataclass(frozen=True, slots=True)
class Subscription(Generic[T]):
    """One viewer's subscription to a topic, which shows only reads that began after it.

    :param since: when it began, by the monotonic clock.
    """

    topic: Topic[T]
    needed: int
    since: float

    @property
    def trouble(self) -> Trouble | None:
        """Why Consul is unavailable; None while it is available."""
        return self.topic.watch.trouble

    @property
    def latest(self) -> T | None:
        """The result of the last read; None before the first, and while Consul is unavailable.

        :raises ChefConsulError: the read failed.
        """
        if self.topic.watch.failure is not None:
            raise self.topic.watch.failure
        if self.topic.done < self.needed or self.trouble is not None:
            return None
        if self.topic.failure is not None:
            raise self.topic.failure
        return self.topic.latest


@contextmanager
def subscribed(topic: Topic[T], viewer: Viewer) -> Iterator[Subscription[T]]:
    """Subscribe to a topic; the viewer is set whenever there is something new, or Consul becomes unavailable."""
    needed = topic.needed = topic.begun + 1
    topic.viewers.add(viewer)
    topic.awaiting[viewer] = needed
    viewer.topics.add(topic)
    topic.watch.ask()
    try:
        yield Subscription(topic, needed, monotonic())
    finally:
        topic.viewers.discard(viewer)
        topic.awaiting.pop(viewer, None)
        viewer.topics.discard(topic)
