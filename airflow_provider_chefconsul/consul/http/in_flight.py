"""Sharing blocking queries: callers who ask the same question wait for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from airflow_provider_chefconsul.consul.http.gathering import to_its_end

T = TypeVar("T")


class InFlight(Generic[T]):
    """The unanswered questions, and how many callers wait for each."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, tuple[asyncio.Task[T], list[None]]] = {}

    async def ask(self, question: Hashable, ask: Callable[[], Coroutine[Any, Any, T]], *, patience: float) -> T | None:
        """The answer; None after ``patience`` seconds. The last caller to leave cancels the question."""
        if question not in self._asked:
            task = asyncio.create_task(ask())
            self._asked[question] = (task, [])
            task.add_done_callback(lambda done: self._forget(question, done))
        task, waiting = self._asked[question]
        waiting.append(None)
        try:
            await asyncio.wait({task}, timeout=patience)
            return task.result() if task.done() else None
        finally:
            waiting.pop()
            if not waiting and not task.done():
                self._forget(question, task)
                task.cancel()
                await to_its_end(asyncio.wait({task}))

    def _forget(self, question: Hashable, task: asyncio.Task[T]) -> None:
        if question in self._asked and self._asked[question][0] is task:
            del self._asked[question]
