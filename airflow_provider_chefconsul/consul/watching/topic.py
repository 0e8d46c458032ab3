"""Topics, which a watch reads, and subscriptions, through which viewers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, Protocol, TypeVar

from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable

T = TypeVar("T")


class TopicReader(Protocol):
    """Reads topics."""

    trouble: Trouble | None
    failure: Exception | None

    def ask(self) -> None:
        """Read what is due now."""


@dataclass(eq=False, slots=True)
class Topic(Generic[T]):
    """Something that is watched, and its viewers.

    :param watch: what reads it now.
    :param begun: the number of the last read that began.
    :param done: the number of the last read that ended.
    :param needed: the number of the last read that a viewer waits for.
    """

    watch: TopicReader
    latest: T | None = None
    failure: ChefConsulError | None = None
    begun: int = 0
    done: int = 0
    needed: int = 0
    viewers: set[asyncio.Event] = field(default_factory=set)

    @property
    def is_due(self) -> bool:
        """Whether a viewer waits for a read that has not begun."""
        return self.needed > self.begun

    def wake(self) -> None:
        """Wake all viewers."""
        for viewer in self.viewers:
            viewer.set()

    def begin(self) -> int:
        """Begin a read and return its number."""
        self.begun += 1
        return self.begun

    def finish(self, number: int, found: T | ChefConsulError) -> None:
        """End a read with its result, or with an error of this topic only."""
        before = (self.latest, self.failure)
        self.latest, self.failure = (None, found) if isinstance(found, ChefConsulError) else (found, None)
        self.done = number
        if self.latest is not before[0] or self.failure is not before[1] or self.needed >= number:
            self.wake()


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
def subscribed(topic: Topic[T], viewer: asyncio.Event) -> Iterator[Subscription[T]]:
    """Subscribe to a topic; the viewer is set whenever there is something new, or Consul becomes unavailable."""
    needed = topic.needed = topic.begun + 1
    topic.viewers.add(viewer)
    topic.watch.ask()
    try:
        yield Subscription(topic, needed, monotonic())
    finally:
        topic.viewers.discard(viewer)
