"""Several requests at once, none of which outlives the failure of another."""

from __future__ import annotations

import asyncio
from typing import Any


async def gather_all(*tasks: asyncio.Task[Any]) -> None:
    """Wait for all; when one fails, the others are cancelled and have ended before its error is raised.

    ``asyncio.gather`` leaves them running: they would use a client that is closed meanwhile, and leak its sockets.
    """
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
