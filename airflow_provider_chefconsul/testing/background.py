"""An event loop in its own thread, for tests that are not coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """A coroutine that runs in its own thread from :meth:`start` to :meth:`stop`.

    :param live: the coroutine function; it calls its parameter when it is ready, and ends when it is cancelled.
    """

    def __init__(self, live: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> None:
        self._live = live
        self._is_settled = threading.Event()
        self._error: BaseException | None = None
        self._is_raised = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="chefconsul-fleet")

    def start(self) -> None:
        """Return when the coroutine is ready, or raise its error."""
        self._thread.start()
        self._is_settled.wait()
        self.check()

    def check(self) -> None:
        """Raise the error that ended the coroutine, if one has."""
        if self._error is not None:
            self._is_raised = True
            raise self._error

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run another coroutine in that thread, and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        """Cancel the coroutine, wait for its end and raise its error, if it had one that was not raised yet."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: the coroutine has ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        if not self._is_raised:
            self.check()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits in the other thread
            self._error = error
        finally:
            self._is_settled.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        await self._live(self._is_settled.set)
