"""Running several requests at once, so that none outlives the failure of another, and ending them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_all(*tasks: asyncio.Task[Any]) -> None:
    """Wait for all; when one fails, cancel the others and let them end before raising its error.

    ``asyncio.gather`` would leave them running on a closed client, whose sockets they would leak.
    """
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_its_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await what closes connections to its end, also when cancelled meanwhile; then that is raised.

    Cancelled in the middle, it would leave the rest of them open.
    """
    closing = asyncio.create_task(coroutine)
    try:
        return await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait({closing})
        raise
