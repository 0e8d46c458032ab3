"""A Consul server in development mode, for the duration of a test session."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.testing.consul_agent import (
    AgentError,
    ConsulAgent,
    agent_config,
    agent_environment,
    server_command,
)
from airflow_provider_chefconsul.testing.consul_program import BINARY, find_program
from airflow_provider_chefconsul.testing.port import ADDRESS
from airflow_provider_chefconsul.testing.processes import Processes

_LONGEST_START = 60.0  # seconds


class ConsulServer:
    """A Consul server on free ports of loopback, which keeps its data in memory.

    :param directory: where its files go.
    :raises ConsulUnavailable: there is no such program.
    """

    def __init__(self, directory: Path) -> None:
        binary = _find_consul()
        command, config = server_command(binary, in_memory=True)
        self._processes = Processes()
        self._agent = ConsulAgent(
            "server",
            None,
            directory,
            command=command,
            config={**config, **agent_config(binary), "node_name": "server"},
            environment=agent_environment(),
            processes=self._processes,
        )

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return self._agent.pid

    def settings(self, root: str) -> ConsulSettings:
        """How to reach it, below a root prefix."""
        return ConsulSettings(ADDRESS, self._agent.http_port, root=root)

    def start(self) -> None:
        """Start it, and return when it is the leader.

        :raises ConsulUnavailable: it does not become the leader; the message ends with its last log lines.
        """
        try:
            self._agent.start()
            self._agent.wait_until_leading(_LONGEST_START)
        except AgentError as error:
            self.stop()
            raise ConsulUnavailable(str(error)) from error
        except BaseException:  # Ctrl-C does not reach it
            self.stop()
            raise

    def stop(self) -> None:
        """Kill it; there is nothing to save."""
        self._processes.close()


def _find_consul() -> str:
    try:
        return find_program()
    except ConsulUnavailable as error:
        raise ConsulUnavailable(
            f"the fixture 'fleet' needs a real Consul, but {error}: install Consul 1.8 or later, or name it in the "
            f"environment variable {BINARY}"
        ) from None
