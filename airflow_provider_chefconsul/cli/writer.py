"""The writer that the command line records."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime

from airflow_provider_chefconsul.domain.model.desired import COMMAND_LINE, Writer


def who_writes(command: str) -> Writer:
    """The writer of a command: who called it, where and when. Each call is a writer of its own, like a Dag run."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name; OSError since Python 3.13
        user = "somebody"
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Writer(COMMAND_LINE, f"{user}@{socket.gethostname()} {now}", command)
