"""Operators that wait in a worker, go on in the triggerer, and clean up in Consul when Airflow stops the task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

T = TypeVar("T")

PATIENCE = timedelta(seconds=5)
"""How long a deferrable task waits in its worker first: a deferral and its resumption cost 2 to 3 seconds."""

_DEFERRAL_SLACK = timedelta(minutes=2)  # past the deadline, the scheduler ends a wait whose triggerer is gone


class Stoppable(BaseOperator):
    """
    Runs coroutines in the worker, and cancels them when the task is stopped there, as a trigger is cancelled.

    Airflow calls ``on_kill`` in its handler of SIGTERM: when the task is marked or cleared, its Dag run is failed or
    its worker shuts down. Five seconds later it kills the process.
    """

    deferrable: bool
    """Set by those that call :meth:`wait_here`."""

    _here: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
    _is_stopped = False

    def run_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        :raises AirflowException: Airflow stopped the task meanwhile; the coroutine has been cancelled.
        """
        try:
            return asyncio.run(self._remember(coroutine))
        except asyncio.CancelledError:
            raise AirflowException("Airflow stopped this task") from None
        finally:
            self._here = None

    def run_or_defer(self, coroutine: Coroutine[Any, Any, T | WaitingTrigger[Any]]) -> T:
        """Run a coroutine to its end; when that is a trigger, defer to it.

        Deferring raises, and ``execute_complete`` is called with the trigger's event.
        """
        return self.end_or_defer(self.run_here(coroutine))

    def end_or_defer(self, ended: T | WaitingTrigger[Any]) -> T:
        """Return what a coroutine ended with; when that is a trigger, defer to it."""
        from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

        if isinstance(ended, WaitingTrigger):
            timeout = ended.deadline - datetime.now(UTC) + _DEFERRAL_SLACK
            self.defer(trigger=ended, method_name="execute_complete", timeout=timeout)
        return ended

    async def wait_here(self, trigger: WaitingTrigger[T], view: SharedView | None = None) -> T | WaitingTrigger[T]:
        """Wait in the worker for what a trigger waits for: to the end, or when deferrable for :data:`PATIENCE`.

        :param view: the shared data view, where it is open already.
        :returns: the result; or the trigger when it is to go on, for :meth:`run_or_defer`.
        """
        until = datetime.now(UTC) + PATIENCE if self.deferrable else None
        result = await trigger.wait(until=until, view=view)
        return trigger if result is None else result

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
