"""An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_chefconsul.testing.background import Background


def test_coroutine_lives_until_it_is_stopped():
    """In another thread, where others can be run beside it."""
    seen = []

    async def live(ready):
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("stopped")

    async def where():
        return threading.current_thread()

    background = Background(live)
    background.start()
    assert background.call(where()) is not threading.current_thread()
    assert not seen
    background.stop()
    assert seen == ["stopped"]


def test_error_before_it_is_ready_comes_from_the_start():
    """And not a second time from the end."""

    async def live(_ready):
        raise ValueError("no")

    background = Background(live)
    with pytest.raises(ValueError, match="no"):
        background.start()
    background.stop()


def test_later_error_comes_from_the_end():
    """Nobody else would hear of it."""
    may_fail = asyncio.Event()

    async def live(ready):
        ready()
        await may_fail.wait()
        raise ValueError("later")

    async def let_it_fail():
        may_fail.set()

    background = Background(live)
    background.start()
    background.call(let_it_fail())
    with pytest.raises(ValueError, match="later"):
        background.stop()
