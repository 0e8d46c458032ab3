"""One Consul agent on loopback: its ports, its configuration and its process."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_chefconsul.testing.consul_version import closed_ports, version_of
from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from airflow_provider_chefconsul.testing.processes import Process, Processes

POLL_SECONDS = 0.05

LOG_TAIL_LINES = 15
START_ATTEMPTS = 5

Config = dict[str, Any]


class AgentError(RuntimeError):
    """An agent exited, or does not lead; the message carries the end of its log."""


class ConsulAgent:
    """An agent that can be started, killed and started again with the same name, data and ports."""

    def __init__(
        self,
        name: str,
        tier: str | None,
        directory: Path,
        *,
        command: Sequence[str],
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        processes: Processes,
    ) -> None:
        self.name = name
        self.tier = tier
        self.log = directory / "log"
        self._directory = directory
        self._command = command
        self._config = config
        self._environment = environment
        self._processes = processes
        self._join: ConsulAgent | None = None
        # An agent starts its watches before it has joined; they fail, and Consul tries them again 5 s later.
        self.has_idle_watches = False
        self._process: Process | None = None
        self._log_start = 0
        self._attempts = 0
        self._has_led = False
        self._choose_ports()

    @property
    def pid(self) -> int | None:
        """The pid of the running agent, None when it does not run."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the process runs; whether the cluster sees it, only Consul knows."""
        return self._process is not None and self._process.exit_code is None

    @property
    def url(self) -> str:
        """The address of the agent's HTTP API."""
        return f"http://{ADDRESS}:{self.http_port}"

    @property
    def is_wanted(self) -> bool:
        """Say whether the agent was started and not killed: it should be running, and is not if it failed."""
        return self._process is not None

    def start(self, join: ConsulAgent | None = None) -> None:
        """Start the agent and let it join another one.

        Whether it got its ports turns out later; see `start_again_if_ports_were_taken`.
        """
        self._join = join
        self.has_idle_watches = "watches" in self._config
        self._attempts = 1
        self._start()

    @property
    def is_leading(self) -> bool:
        """Whether it names its own address as the leader's."""
        return bool(_ask(self.http_port, "/v1/status/leader") == f"{ADDRESS}:{self.server_port}")

    def wait_until_leading(self, timeout_seconds: float) -> None:
        """Wait until this server leads.

        :raises AgentError: it exited, or does not lead in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_leading:
            self.start_again_if_ports_were_taken()
            if time.monotonic() > deadline:
                raise AgentError(self._describe(f"does not lead after {timeout_seconds:g} s, is the machine busy?"))
            time.sleep(POLL_SECONDS)
        self._has_led = True

    def start_again_if_ports_were_taken(self) -> None:
        """Do nothing while the agent runs; when it exited because another process took a port first, start it again.

        One that has led keeps its ports: clients find it, and its data names it, by them.

        :raises AgentError: when it exited for another reason, or too often.
        """
        if self._process is None or self.is_running:
            return
        if "address already in use" not in self._log_of_this_start() or self._attempts >= START_ATTEMPTS:
            raise AgentError(self._describe(f"exited with {self._process.exit_code}"))
        self._attempts += 1
        if not self._has_led:
            self._choose_ports()
        self._start()

    def kill(self) -> None:
        """Kill the agent and whatever it started, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _choose_ports(self) -> None:
        self.http_port, self.serf_port, self.server_port = free_port(), free_port(), free_port()

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        ports = {
            **self._config.get("ports", {}),
            "http": self.http_port,
            "serf_lan": self.serf_port,
            "server": self.server_port,
        }
        config = {**self._config, "ports": ports, "data_dir": str(self._directory / "data")}
        if self._join is not None:
            config["retry_join"] = [f"{ADDRESS}:{self._join.serf_port}"]
            if self._join.is_running:
                # Joining before anything else saves the up to 3 s that an agent waits with its registration after it
                # has found a server. It exits when the join fails. From Consul 1.15 on the same as retry_join.
                config["start_join"] = config["retry_join"]
        path = self._directory / "config.json"
        write_private(path, json.dumps(config, indent=2))  # the gossip key is in there, and tokens
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._processes.start(
            [*self._command, f"-config-file={path}"],
            log=self.log,
            environment={**self._environment, "CONSUL_HTTP_ADDR": self.url},
        )

    def _log_of_this_start(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _describe(self, what: str) -> str:
        tail = "\n".join(self._log_of_this_start().splitlines()[-LOG_TAIL_LINES:])
        return f"Consul agent {self.name} {what}; {self.log} ends:\n{tail}"


def agent_config(binary: str | Path) -> Config:
    """The configuration that all agents of a cluster on loopback share, without what tells them apart."""
    return {
        "bind_addr": ADDRESS,
        "client_addr": ADDRESS,
        "disable_remote_exec": False,
        "disable_update_check": True,
        # Another cluster may get the port of an agent that was killed here: gossip must not merge the two.
        "encrypt": base64.b64encode(os.urandom(16)).decode(),
        "leave_on_terminate": False,
        "ports": dict(closed_ports(version_of(binary))),
        "skip_leave_on_interrupt": True,
    }


def server_command(binary: str | Path, *, in_memory: bool) -> tuple[list[str], Config]:
    """The command that runs the only server of a cluster, and its part of the configuration.

    :param in_memory: lead within a fraction of a second and save nothing, so that a restart begins anew.
    """
    if not in_memory:
        raft = {"server": True, "bootstrap_expect": 1, "performance": {"raft_multiplier": 1}}
        return [str(binary), "agent", "-ui"], raft
    # Of what -dev brings along: gossip as elsewhere, or a busy machine would see nodes fail that did not.
    gossip = {"gossip_interval": "200ms", "probe_interval": "1s", "probe_timeout": "500ms", "suspicion_mult": 4}
    return [str(binary), "agent", "-dev"], {"gossip_lan": gossip, "connect": {"enabled": False}, "log_level": "info"}


def _ask(port: int, path: str) -> Any:
    """What an agent answers to a GET; None where it does not."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, whatever it was before."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def agent_environment(bin_dir: Path | None = None) -> dict[str, str]:
    """Give an agent, and what it runs, our environment without Consul's variables, and `bin_dir` first on its PATH."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    if bin_dir is not None:
        environment["PATH"] = f"{bin_dir}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment
