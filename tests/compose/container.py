"""A node's container, as far as it goes without an engine: its entry point, with a directory and ports of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

from airflow_provider_chefconsul.testing.consul_agent import agent_environment
from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from demo.cluster import ConsulCluster
from tests.compose.project import ROOT

SCRIPTS = ROOT / "docker" / "node"


class NodeContainer:
    """What ``start-node`` starts; leaving the context kills it all, as the end of a container would.

    :param client: what stands for Cinc Client.
    :param ruby: what stands for its Ruby.
    :param key: the gossip key of the cluster.
    :param agent: the address of the agent that its programs ask; its own by default.
    """

    def __init__(
        self, name: str, tier: str, home: Path, *, cluster: ConsulCluster, client: Path, ruby: Path, key: str,
        agent: str | None = None,
    ) -> None:  # fmt: skip
        self.log = home / "container.log"
        self.shop_port = free_port()
        http = free_port()
        self.agent = agent or f"{ADDRESS}:{http}"
        self._arguments = [
            f"-bind={ADDRESS}", f"-http-port={http}", f"-serf-lan-port={free_port()}", f"-server-port={free_port()}",
            "-dns-port=-1", f"-retry-join={ADDRESS}:{cluster.server.serf_port}",
        ]  # fmt: skip
        (bin_dir := home / "bin").mkdir(parents=True, exist_ok=True)
        (bin_dir / "consul").unlink(missing_ok=True)
        (bin_dir / "consul").symlink_to(cluster.binary)
        self._environment = {
            **agent_environment(bin_dir),
            "CHEF_CLIENT": str(client),
            "CHEF_RUBY": str(ruby),
            "CONSUL_GOSSIP_KEY": key,
            "CONSUL_HTTP_ADDR": self.agent,
            "COOKBOOKS": str(ROOT / "cookbooks"),
            "NODE_CONFIG": str(SCRIPTS),
            "NODE_ENVIRONMENT": "demo",
            "NODE_HOME": str(home),
            "NODE_NAME": name,
            "NODE_TIER": tier,
            "SHOP_PORT": str(self.shop_port),
            "SHOP_STORE": str(home / "store"),
        }
        self._environment["PATH"] = f"{SCRIPTS}{os.pathsep}{self._environment['PATH']}"
        self._process: subprocess.Popen[bytes] | None = None

    def health(self) -> tuple[bool, str]:
        """Whether the container would be healthy, and what its health check says."""
        done = subprocess.run(["node-health"], env=self._environment, executable=SCRIPTS / "node-health",
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.stderr == ""
        return done.returncode == 0, done.stdout

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["start-node", *self._arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                executable=SCRIPTS / "start-node",
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
