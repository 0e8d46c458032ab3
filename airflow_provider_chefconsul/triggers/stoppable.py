"""Operators that wait in a worker, and clean up in Consul when Airflow stops the task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

T = TypeVar("T")


class Stoppable(BaseOperator):
    """
    Runs coroutines in the worker, and cancels them when the task is stopped there, as a trigger is cancelled.

    Airflow calls ``on_kill`` in its handler of SIGTERM: when the task is marked or cleared, its Dag run is failed or
    its worker shuts down. Five seconds later it kills the process.
    """

    _here: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
    _is_stopped = False

    def run_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        :raises AirflowException: Airflow stopped the task meanwhile; the coroutine has been cancelled.
        """
        try:
            return asyncio.run(self._remember(coroutine))
        except asyncio.CancelledError:
            raise AirflowException(
                "Airflow stopped this task; its sessions and job keys in Consul are removed"
            ) from None
        finally:
            self._here = None

    def on_kill(self) -> None:
        """Cancel what runs; it cleans up before it ends."""
        if self._here is not None and not self._is_stopped:
            loop, task = self._here
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(task.cancel)
        self._is_stopped = True

    async def _remember(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None  # asyncio.run has made one
        self._here = asyncio.get_running_loop(), task
        if self._is_stopped:
            coroutine.close()
            raise asyncio.CancelledError
        return await coroutine
