"""A real sshd for every test that needs one: it acts as many hosts, on separate loopback addresses."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import consul
import pytest

from airflow_provider_chefconsul.testing.port import free_port
from airflow_provider_chefconsul.testing.processes import Processes
from demo import packages

HOSTS = {f"web-{number}": f"127.0.0.{number + 1}" for number in range(1, 5)}
REFUSING = "127.0.0.7"  # lets the user in, and starts no command
DOWN = "127.0.0.9"  # nobody listens there
_PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True)
class SSHServer:
    """A running sshd, and the keys to log in."""

    directory: Path
    port: int
    key: Path
    known_hosts: Path
    host_key: str
    user: str = field(default_factory=getpass.getuser)

    def connect(self, address: str, **options: Any) -> Any:
        """Open a connection with asyncssh."""
        known = {"username": self.user, "client_keys": str(self.key), "known_hosts": str(self.known_hosts)}
        return asyncssh.connect(address, **{"port": self.port, **known, **options})

    def connection(self, **changes: Any) -> str:
        """The fields of an Airflow connection to it, as JSON; extras that are None are omitted."""
        extra = {"key_file": str(self.key), "known_hosts": str(self.known_hosts), **changes}
        login = extra.pop("login", self.user)
        extra = {name: value for name, value in extra.items() if value is not None}
        return json.dumps({"conn_type": "ssh", "login": login, "port": self.port, "extra": extra})


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """One sshd for all tests of this process; a missing one is a failure, never a skip."""
    program = packages.find("sshd")
    assert program is not None, "no sshd found: apt-get install openssh-server"
    directory = tmp_path_factory.mktemp("sshd")
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    host_key = write_key(directory / "host_key")
    user_key = write_key(directory / "user_key")
    port = free_port()
    addresses = [*HOSTS.values(), REFUSING]
    (directory / "known_hosts").write_text("".join(f"[{address}]:{port} {host_key}\n" for address in addresses))
    (directory / "authorized_keys").write_text(f"{user_key}\n")
    config = directory / "sshd_config"  # its HOME: bash reads .bashrc there, and the user's may take longer than a test
    config.write_text(
        "".join(f"ListenAddress {address}:{port}\n" for address in addresses)
        + f"""\
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv HOME={directory}
LogLevel VERBOSE
Match LocalAddress {REFUSING}
  MaxSessions 0
"""
    )
    log = directory / "log"
    with Processes() as processes:
        process = processes.start([str(program), "-D", "-e", "-f", str(config)], log=log, environment=dict(os.environ))
        while not all(is_listening(address, port) for address in addresses):
            assert process.exit_code is None, log.read_text()
            time.sleep(0.02)
        yield SSHServer(directory, port, directory / "user_key", directory / "known_hosts", host_key)


def write_key(path: Path) -> str:
    """Make a key, and return its public half as one line."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    key.write_private_key(str(path))
    return key.export_public_key().decode().strip()


def is_listening(address: str, port: int) -> bool:
    """Whether anything listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@pytest.fixture
def ssh_hosts(sshd: SSHServer, plain_consul: consul.Consul) -> Callable[..., None]:
    """Register nodes as members of a tier, each at its address in ``HOSTS`` or at another one."""

    def register(*nodes: str, tier: str = "web", address: str | None = None) -> None:
        for node in nodes:
            plain_consul.catalog.register(node, address or HOSTS[node], service={"Service": tier})

    return register


@pytest.fixture
def ssh_connection(sshd: SSHServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the default SSH connection for this test, with other extras if given."""

    def make(**changes: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SSH_DEFAULT", sshd.connection(**changes))

    make()
    return make
