"""The writer that the command line records."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime

from airflow_provider_chefconsul.domain.model.writer import COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.moment import write_moment


def who_writes(command: str) -> Writer:
    """The writer of a command: who called it, where and when. Each call is a writer of its own, like a Dag run."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name; OSError since Python 3.13
        user = "somebody"
    now = write_moment(datetime.now(UTC), timespec="milliseconds")
    return Writer(COMMAND_LINE, f"{user}@{socket.gethostname()} {now}", command)
