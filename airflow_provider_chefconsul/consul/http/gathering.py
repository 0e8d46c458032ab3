"""Running several requests at once, so that none outlives the failure of another."""

from __future__ import annotations

import asyncio
from typing import Any


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
