"""Loopback ports for the servers of tests and demos. Standard library only."""

from __future__ import annotations

import random
import socket

ADDRESS = "127.0.0.1"
# Below the range that Linux and macOS give to outgoing connections, which would take a port between choice and use.
_PORTS = range(10_000, 32_000)


def free_port() -> int:
    """Choose a loopback port that is free now, for TCP and UDP; another process may still take it first."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - spreads parallel test runs, guards nothing
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((ADDRESS, port))
        except OSError:
            continue
        return port
