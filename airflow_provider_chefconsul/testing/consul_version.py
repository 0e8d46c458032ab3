"""The version of a Consul, and what its agents' configuration has to say differently. Standard library only."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

Version = tuple[int, ...]

_TIMEOUT = 60.0  # seconds; a fraction of one on an idle machine
_INITIAL_MANAGEMENT_SINCE = (1, 11, 0)
_GRPC_TLS_SINCE = (1, 14, 0)


def version_of(binary: str | Path) -> Version | None:
    """Ask a Consul binary for its version; None when it does not run or does not say."""
    try:
        done = subprocess.run(  # noqa: S603 - the author's Consul
            [binary, "version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout)


def parse_version(output: str) -> Version | None:
    """Read `Consul v1.8.7` (or `v1.22.0-dev`, `v1.18.1+ent`) as (1, 8, 7); None when no version is there."""
    match = re.search(r"^Consul v(\d+)\.(\d+)\.(\d+)", output, re.MULTILINE)
    return tuple(int(part) for part in match.groups()) if match else None


def closed_ports(version: Version | None) -> Mapping[str, int]:
    """The ports to keep closed, by their names in Consul's configuration, so that several agents fit on one host.

    From Consul 1.14 on, a server listens for gRPC with TLS on 8503 by default, and a second one on the host ends with
    "address already in use". Earlier agents refuse the name of that port.

    :param version: the version of the Consul; None, if unknown, counts as old.
    """
    ports = {"dns": -1, "grpc": -1, "serf_wan": -1}
    if version is not None and version >= _GRPC_TLS_SINCE:
        ports["grpc_tls"] = -1
    return ports


def first_token(version: Version | None, token: str) -> Mapping[str, str]:
    """The token that may do everything, by its name in ``acl.tokens``.

    :param version: as in :func:`closed_ports`.
    """
    is_renamed = version is not None and version >= _INITIAL_MANAGEMENT_SINCE
    return {"initial_management" if is_renamed else "master": token}
