"""Which Consul to run: the one that CONSUL_BINARY names, or the one on the PATH. Standard library only."""

from __future__ import annotations

import os
import shutil

from airflow_provider_chefconsul.exceptions import ConsulUnavailable

BINARY = "CONSUL_BINARY"
"""The environment variable that names the program; without it, ``consul`` on the PATH."""


def find_program() -> str:
    """The Consul binary to run, of whatever version.

    :raises ConsulUnavailable: there is none.
    """
    named = os.environ.get(BINARY)
    found = shutil.which(named or "consul")
    if found is None:
        raise ConsulUnavailable(f"{BINARY}={named!r} is not a program" if named else "there is no consul on the PATH")
    return found
