"""A wait's progress lines, which tests can wait for."""

from __future__ import annotations

import asyncio

PATIENCE = 120  # seconds that no line here should need, on however slow a machine


class Lines(list[str]):
    """A wait's progress lines, which tests can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._has_more = asyncio.Event()

    def add(self, line: str) -> None:
        """Record a line."""
        self.append(line)
        self._has_more.set()

    async def until(self, words: str) -> None:
        """Wait for a line with this text."""
        async with asyncio.timeout(PATIENCE):
            while not any(words in line for line in self):
                self._has_more.clear()
                await self._has_more.wait()
