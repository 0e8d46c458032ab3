"""The lines of a wait's progress, to be waited for."""

from __future__ import annotations

import asyncio

PATIENCE = 120  # seconds that no line here should need, on however slow a machine


class Lines(list[str]):
    """The lines of a wait's progress, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._has_more = asyncio.Event()

    def add(self, line: str) -> None:
        """Take a line."""
        self.append(line)
        self._has_more.set()

    async def until(self, words: str) -> None:
        """Wait for a line that says so."""
        async with asyncio.timeout(PATIENCE):
            while not any(words in line for line in self):
                self._has_more.clear()
                await self._has_more.wait()
