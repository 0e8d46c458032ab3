"""Things that a watch reads, and how those who look at them see what was read."""

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
    """Who reads topics."""

    trouble: Trouble | None
    failure: Exception | None

    def ask(self) -> None:
        """Read what is due now."""


@dataclass(eq=False, slots=True)
class Topic(Generic[T]):
    """One thing that is watched, and who looks at it.

    :param watch: who reads it now.
    :param begun: how many reads of it have begun.
    :param done: which of them was the last to be done.
    :param needed: which of them somebody waits for.
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
        """Whether somebody waits for a read that has not begun."""
        return self.needed > self.begun

    def wake(self) -> None:
        """Tell all who look."""
        for viewer in self.viewers:
            viewer.set()

    def begin(self) -> int:
        """Begin a read; its number."""
        self.begun += 1
        return self.begun

    def finish(self, number: int, found: T | ChefConsulError) -> None:
        """End a read with what was found, or with what is wrong with this thing alone."""
        before = (self.latest, self.failure)
        self.latest, self.failure = (None, found) if isinstance(found, ChefConsulError) else (found, None)
        self.done = number
        if self.latest is not before[0] or self.failure is not before[1] or self.needed >= number:
            self.wake()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Consul is away: why, and since when by the monotonic clock."""

    error: ConsulUnavailable
    since: float


@dataclass(frozen=True, slots=True)
class Subscription(Generic[T]):
    """One viewer's look at a topic: nothing until a read that began after the viewer came is done.

    :param since: when the viewer came, by the monotonic clock.
    """

    topic: Topic[T]
    needed: int
    since: float

    @property
    def trouble(self) -> Trouble | None:
        """Why there is nothing new to see, if that is so."""
        return self.topic.watch.trouble

    @property
    def latest(self) -> T | None:
        """What was read last; None while there is nothing to show.

        :raises ChefConsulError: what is wrong with it.
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
    """Look at a topic; the viewer is set whenever there is something to see, or Consul is away."""
    needed = topic.needed = topic.begun + 1
    topic.viewers.add(viewer)
    topic.watch.ask()
    try:
        yield Subscription(topic, needed, monotonic())
    finally:
        topic.viewers.discard(viewer)
