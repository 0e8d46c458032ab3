"""What a simulated run prints: one line per step, each marked as not Chef's."""

from __future__ import annotations

import contextlib
import os

PREFIX = "simulated chef-client (no real Chef here)"
STDOUT, STDERR = 1, 2
LINE_LIMIT = 1000


class RunOutput:
    """The lines of one node's run: steps on standard output, errors on standard error."""

    def __init__(self, node: str) -> None:
        self.node = node

    def info(self, text: str) -> None:
        """Say what the run does."""
        _write(STDOUT, f"{PREFIX}: {self.node}: {text}")

    def error(self, text: str) -> None:
        """Say what went wrong."""
        _write(STDERR, f"{PREFIX}: {self.node}: ERROR: {text}")


def _write(descriptor: int, line: str) -> None:
    # Not print(): signal handlers write too, and a reader that is gone (the agent that started this run was killed)
    # must neither end the run nor change its exit code.
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{line[:LINE_LIMIT]}\n".encode(errors="backslashreplace"))
