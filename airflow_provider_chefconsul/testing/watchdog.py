"""Kill process groups when the process that started them is gone: a program, started by `processes.py`.

It reads `+PGID` and `-PGID` lines from its standard input. When that ends, its parent has closed it or died, in
whatever way: every group still on the list is killed. A pipe says so at once on Linux and macOS alike; the kernel's
parent-death signal would be sent when the starting thread ends, and would not reach an agent's children.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow the list until the input ends, then kill what is on it."""
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
