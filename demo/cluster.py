"""A real Consul cluster on loopback: one server, and client agents that stand for nodes.

    with ConsulCluster(find_consul(), Path(".demo/consul")) as cluster:
        cluster.add_node("web-1", tier="web", watch_key="…/desired", watch_command=["/path/to/script"])
        cluster.wait_until_ready()

Every agent has a directory of its own (`<directory>/<name>/`: config.json, data, log) and ports of its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from airflow_provider_chefconsul.testing.consul_agent import (
    POLL_SECONDS,
    Config,
    ConsulAgent,
    agent_config,
    agent_environment,
    server_command,
)
from airflow_provider_chefconsul.testing.port import ADDRESS
from airflow_provider_chefconsul.testing.processes import Processes

SERVER = "server"
_PATIENCE = 180.0  # seconds; 5 on an idle machine, and an agent that ends is noticed at once
# Makes a killed node critical in 1 to 2 s rather than 5 to 7 s. A machine that is short of CPU for that long
# may see healthy nodes fail: for tests and demonstrations of failure, not for every cluster.
FAST_GOSSIP = {"gossip_interval": "50ms", "probe_interval": "200ms", "probe_timeout": "150ms", "suspicion_mult": 3}


class ClusterError(RuntimeError):
    """The cluster did not come up in time, or was asked for a node that it does not have."""


class ConsulCluster:
    """One Consul server and its client agents, all processes of this machine.

    :param binary: the Consul to run, 1.8 or later.
    :param directory: where the agents keep their files; created, and kept afterwards.
    :param in_memory: start faster; the server saves nothing, and so cannot be restarted.
    :param fast_failure_detection: gossip so often that a killed node is noticed in about a second.
    :param extra_config: merged into every agent's configuration, for example `{"acl": {…}}`.
    :param token: sent with the requests that wait until the cluster is ready, where ACLs need one.
    """

    def __init__(
        self,
        binary: Path,
        directory: Path,
        *,
        in_memory: bool = False,
        fast_failure_detection: bool = False,
        extra_config: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> None:
        self.binary = binary
        self.nodes: dict[str, ConsulAgent] = {}
        self._directory = directory.absolute()
        self._processes = Processes()
        self._is_started = False
        self._http = httpx.Client(headers={"X-Consul-Token": token} if token else {}, timeout=5, trust_env=False)
        self._common: Config = {
            **agent_config(binary),
            **({"gossip_lan": FAST_GOSSIP} if fast_failure_detection else {}),
            **(extra_config or {}),
        }
        command, config = server_command(binary, in_memory=in_memory)
        self.server = ConsulAgent(
            SERVER,
            None,
            self._directory / SERVER,
            command=command,
            config={**config, **self._common, "node_name": SERVER},
            environment=agent_environment(),
            processes=self._processes,
        )

    @property
    def http_port(self) -> int:
        """The port of the server's HTTP API on 127.0.0.1; it stays the same when the server is restarted."""
        return self.server.http_port

    def start(self, timeout_seconds: float = _PATIENCE) -> None:
        """Start the server, wait until it leads, then start the nodes added so far and wait for them.

                :raises AgentError: when an agent exited, or the server does not lead in time; with the end of its log.
        :raises ClusterError: when the time is over.
        """
        self._is_started = True
        try:
            self.server.start()
            self.server.wait_until_leading(timeout_seconds)
            for node in self.nodes.values():
                node.start(join=self.server)
            self.wait_until_ready(timeout_seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill every agent and whatever it started; the files stay, the cluster is not started again."""
        self._is_started = False
        self._processes.close()
        self._http.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_node(
        self,
        name: str,
        *,
        tier: str,
        bin_dir: Path | None = None,
        watch_key: str | None = None,
        watch_command: Sequence[str] | None = None,
        extra_config: Mapping[str, Any] | None = None,
    ) -> ConsulAgent:
        """Add a node to a tier, starting it at once when the cluster runs; `wait_until_ready` waits for it.

        :param bin_dir: put first on the PATH of the agent and of everything that it runs.
        :param watch_key: key whose every change, and whose value at the start, makes the agent run `watch_command`.
        :param extra_config: merged into this agent's configuration.
        """
        if name in self.nodes or name == SERVER:
            raise ClusterError(f"the cluster already has a node named {name}")
        config = {
            **self._common,
            "node_name": name,
            "node_meta": {"tier": tier},
            "services": [{"name": tier}],
            "retry_interval": "1s",
            **(extra_config or {}),
        }
        if watch_key is not None and watch_command is not None:
            config["watches"] = [{"type": "key", "key": watch_key, "args": list(watch_command)}]
        node = ConsulAgent(
            name,
            tier,
            self._directory / name,
            command=[str(self.binary), "agent"],
            config=config,
            environment=agent_environment(bin_dir),
            processes=self._processes,
        )
        self.nodes[name] = node
        if self._is_started:
            node.start(join=self.server)
        return node

    def kill_node(self, name: str) -> None:
        """Kill a node's agent and what it runs, as a power cut would; Consul notices by itself."""
        self._node(name).kill()

    def restart_node(self, name: str) -> None:
        """Start a node again with its name and data, killing it first if it runs; `wait_until_ready` waits for it."""
        node = self._node(name)
        node.kill()
        node.start(join=self.server)

    def kill_server(self) -> None:
        """Kill the server; the nodes go on without one."""
        self.server.kill()

    def restart_server(self) -> None:
        """Start the server again with its data and ports, killing it first if it runs, and wait until it leads."""
        self.server.kill()
        self.server.start()
        self.server.wait_until_leading(_PATIENCE)

    def wait_until_ready(self, timeout_seconds: float = _PATIENCE) -> None:
        """Wait until every agent that was not killed answers, knows the leader, and has its service passing.

        Watches that were waiting for the node to join are at work then too.

        :raises AgentError: when an agent exited; with the end of its log.
        :raises ClusterError: the time is over; the message names the nodes that are not ready.
        """
        self._wait(lambda: self._leader_problems() or self._node_problems(), timeout_seconds)
        for node in self.nodes.values():
            if node.is_wanted and node.has_idle_watches:
                self._wait(partial(self._reload, node), timeout_seconds)
                node.has_idle_watches = False

    def _wait(self, problems: Callable[[], list[str]], timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while True:
            for agent in (self.server, *self.nodes.values()):
                agent.start_again_if_ports_were_taken()
            found = problems()
            if not found:
                return
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Consul was not ready after {timeout_seconds:g} s, is the machine busy? {'; '.join(found)}"
                )
            time.sleep(POLL_SECONDS)

    def _reload(self, node: ConsulAgent) -> list[str]:
        """Let an agent start its watches anew; twice does no harm."""
        try:
            self._http.put(f"{node.url}/v1/agent/reload").raise_for_status()
        except httpx.HTTPError as error:
            return [f"{node.name} does not reload (log: {node.log}): {error}"]
        return []

    def _leader_problems(self) -> list[str]:
        return [] if self.server.is_leading else [f"the server does not lead (log: {self.server.log})"]

    def _node_problems(self) -> list[str]:
        """Name each node that does not reach the leader or whose service does not pass."""
        nodes = [node for node in self.nodes.values() if node.is_wanted]
        passing = {
            (entry["Node"]["Node"], tier)
            for tier in {node.tier for node in nodes}
            for entry in self._get(self.server, f"/v1/health/service/{tier}?passing") or []
        }
        leader = f"{ADDRESS}:{self.server.server_port}"
        return [
            f"{node.name} is not ready (log: {node.log})"
            for node in nodes
            if (node.name, node.tier) not in passing or self._get(node, "/v1/status/leader") != leader
        ]

    def _get(self, agent: ConsulAgent, path: str) -> Any:
        """Ask an agent; None where it does not answer or has no leader."""
        try:
            response = self._http.get(f"{agent.url}{path}")
            return response.json() if response.is_success else None
        except (httpx.TransportError, ValueError):
            return None

    def _node(self, name: str) -> ConsulAgent:
        if name not in self.nodes:
            raise ClusterError(f"the cluster has no node named {name}; it has {', '.join(self.nodes) or 'none'}")
        return self.nodes[name]
