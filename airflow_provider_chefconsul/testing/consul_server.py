"""A Consul server in development mode, for the duration of a test session."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from pathlib import Path

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.testing.consul_version import closed_ports, version_of
from airflow_provider_chefconsul.testing.port import ADDRESS, free_port

BINARY = "CONSUL_BINARY"
"""The environment variable that names the program; without it, ``consul`` on the PATH."""

_ATTEMPTS = 5
_LONGEST_START = 60.0  # seconds
_LOG_LINES = 15


class ConsulServer:
    """``consul agent -dev`` on free ports of loopback.

    :param directory: where its log goes; it keeps its data in memory.
    :raises ConsulUnavailable: there is no such program.
    """

    def __init__(self, directory: Path) -> None:
        self._binary = find_consul()
        self._log = directory / "consul.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def settings(self, root: str) -> ConsulSettings:
        """How to reach it, below a root prefix."""
        return ConsulSettings(ADDRESS, self._port, root=root)

    def start(self) -> None:
        """Start it, and return when it is the leader.

        :raises ConsulUnavailable: it does not become the leader; the message ends with its last log lines.
        """
        try:
            if any(self._start() for _ in range(_ATTEMPTS)):
                return
        except BaseException:  # Ctrl-C does not reach it
            self.stop()
            raise
        raise ConsulUnavailable(self._describe("did not find free ports"))

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()  # in development mode there is nothing to save
            self._process.wait()
            self._process = None

    def _start(self) -> bool:
        """Start it; False if another process took one of its ports first."""
        self._port, server, serf = free_port(), free_port(), free_port()
        command = [self._binary, "agent", "-dev", "-bind", ADDRESS, "-client", ADDRESS, "-node", "server"]
        command += ["-disable-host-node-id", "-log-level", "warn", "-http-port", str(self._port)]
        command += ["-server-port", str(server), "-serf-lan-port", str(serf)]
        for name, closed in closed_ports(version_of(self._binary)).items():
            command += [f"-{name.replace('_', '-')}-port", str(closed)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the author's Consul
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is pytest's; the fixture's end is this server's
            )
        deadline = time.monotonic() + _LONGEST_START
        while not _leads(self._port):
            if self._process.poll() is not None:
                if "address already in use" in self._log.read_text(errors="replace"):
                    return False
                raise ConsulUnavailable(self._describe(f"ended with {self._process.returncode}"))
            if time.monotonic() > deadline:
                self.stop()
                raise ConsulUnavailable(self._describe(f"did not become the leader within {_LONGEST_START:g} s"))
            time.sleep(0.05)
        return True

    def _describe(self, what: str) -> str:
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return f"{self._binary} agent -dev {what}; its log ends:\n{tail}"


def find_consul() -> str:
    """The Consul binary to run.

    :raises ConsulUnavailable: there is none; the message says how to name one.
    """
    named = os.environ.get(BINARY)
    found = shutil.which(named or "consul")
    if found is None:
        problem = f"{BINARY}={named!r} is not a program" if named else "there is no consul on the PATH"
        raise ConsulUnavailable(
            f"the fixture 'fleet' needs a real Consul, but {problem}: install Consul 1.8 or later, or name it in the "
            f"environment variable {BINARY}"
        )
    return found


def _leads(port: int) -> bool:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
    try:
        connection.request("GET", "/v1/status/leader")
        response = connection.getresponse()
        return response.status == http.client.OK and response.read().strip() not in {b"", b'""'}
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
