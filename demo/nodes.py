"""The demo's nodes: which there are, and what runs on them as chef-client."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airflow_provider_chefconsul.consul.keys import Keys
from demo.cluster import ConsulCluster

ENVIRONMENT = "demo"
TIERS = {"web": ("web-1", "web-2", "web-3"), "app": ("app-1", "app-2", "app-3"), "db": ("db-1", "db-2")}


class NodeClient(Protocol):
    """The program that every node has as ``chef-client``."""

    def describe(self) -> str:
        """Describe it in one line."""

    def install(self, home: Path, node: str, tier: str) -> str:
        """Give the text of the program ``chef-client`` for one node, whose files go below ``home``."""

    def url(self, node: str) -> str | None:
        """The address at which the node's tier answers, None if it runs nothing real."""


@dataclass(frozen=True)
class SimulatedClient:
    """The simulated client of the package; a run takes ``seconds``."""

    seconds: float = 1.0

    def describe(self) -> str:
        """Describe it in one line."""
        return "chef-client: none is on the PATH, nodes run the simulated client"

    def install(self, home: Path, node: str, tier: str) -> str:
        """Give the program's text."""
        faults = shlex.quote(str(home / "faults"))
        # The agent runs this when the desired state changes and when it starts, and remote execution finds it on the
        # PATH. Both at once would run twice, as on a real node, hence --if-needed. CONSUL_HTTP_ADDR is the agent's own.
        return f"""\
#!/bin/sh
# Stands in for chef-client on node {node}: no Chef is installed here.
# Try `echo --fail > {faults}` (or --hang, --seconds 20), and remove the file to mend the node.
exec {shlex.quote(sys.executable)} -m airflow_provider_chefconsul.simulator.client --node {node} --tier {tier} \\
  --environment {ENVIRONMENT} --consul "$CONSUL_HTTP_ADDR" --state-dir {shlex.quote(str(home))} --if-needed \\
  --seconds {self.seconds} $(cat {faults} 2>/dev/null)
"""

    def url(self, node: str) -> str | None:  # noqa: ARG002 the same for every node
        """None: a simulated client serves nothing."""
        return None


def add_node(cluster: ConsulCluster, directory: Path, node: str, tier: str, client: NodeClient) -> None:
    """Add a node to the cluster, with a chef-client that its agent's watch and remote execution run.

    :param directory: where the node's files go, in a directory of its own.
    """
    home = directory / node
    program = home / "bin" / "chef-client"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(client.install(home, node, tier))
    program.chmod(0o755)
    cluster.add_node(
        node,
        tier=tier,
        bin_dir=program.parent,
        watch_key=Keys().desired(ENVIRONMENT, tier),
        watch_command=[str(program)],
    )
