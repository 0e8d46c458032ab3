"""Waiting for something that other processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], *, what: str = "what the test waits for", seconds: float = 60.0) -> None:
    """Wait until something holds, or fail."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"{what} did not come about within {seconds:g} s"
        time.sleep(0.02)
