"""One Consul agent on loopback: its ports, its configuration and its process."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from demo.processes import Process, Processes

LOG_TAIL_LINES = 15
START_ATTEMPTS = 5

Config = dict[str, Any]


class AgentError(RuntimeError):
    """An agent exited; the message carries the end of its log."""


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

    def start(self, join: "ConsulAgent | None" = None) -> None:
        """Start the agent and let it join another one.

        Whether it got its ports turns out later; see `start_again_if_ports_were_taken`.
        """
        self._join = join
        self.has_idle_watches = "watches" in self._config
        self._attempts = 1
        self._start()

    def start_again_if_ports_were_taken(self, *, keep_ports: bool) -> None:
        """Do nothing while the agent runs; when it exited because another process took a port first, start it again.

        :raises AgentError: when it exited for another reason, or too often.
        """
        if self._process is None or self.is_running:
            return
        written = self._log_of_this_start()
        if "address already in use" not in written or self._attempts >= START_ATTEMPTS:
            tail = "\n".join(written.splitlines()[-LOG_TAIL_LINES:])
            raise AgentError(
                f"Consul agent {self.name} exited with {self._process.exit_code}; {self.log} ends:\n{tail}"
            )
        self._attempts += 1
        if not keep_ports:
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
