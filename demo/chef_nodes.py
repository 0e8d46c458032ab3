"""Nodes with an agent and a simulated chef-client that counts its runs; faults and the environment are files."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_chefconsul.consul.keys import Keys
from demo.cluster import ConsulCluster


@dataclass(frozen=True)
class ChefNodes:
    """A cluster whose nodes run their chef-client when remote execution, or their agent's watch, starts it.

    :param directory: where the nodes' files are.
    """

    cluster: ConsulCluster
    directory: Path

    def add(self, node: str, tier: str, *, watched_environment: str | None = None) -> None:
        """Add a node; its agent watches the desired state in ``watched_environment``, if that is given."""
        home = self.directory / node
        program = home / "bin" / "chef-client"
        program.parent.mkdir(parents=True)
        program.write_text(
            "#!/bin/sh\n"
            f"echo run >>{home}/runs\n"
            f"exec {shlex.quote(sys.executable)} -m airflow_provider_chefconsul.simulator.client --node {node} "
            f'--tier {tier} --environment "$(cat {self.directory}/environment)" --consul "$CONSUL_HTTP_ADDR" '
            f"--state-dir {home} $(cat {home}/options 2>/dev/null)\n"
        )
        program.chmod(0o755)
        key = Keys().desired(watched_environment, tier) if watched_environment else None
        self.cluster.add_node(node, tier=tier, bin_dir=program.parent, watch_key=key, watch_command=[str(program)])

    def begin(self, environment: str) -> None:
        """Let the clients look at this environment, forget their runs and mend them all."""
        (self.directory / "environment").write_text(environment)
        for node in self.cluster.nodes:
            (self.directory / node / "runs").write_text("")
            self.set_options(node, "")

    def set_options(self, node: str, options: str) -> None:
        """Further options for a node's client, such as ``--fail`` or ``--seconds 2``."""
        (self.directory / node / "options").write_text(options)

    def runs(self, node: str) -> int:
        """How often the node's client was started since the test began."""
        return (self.directory / node / "runs").read_text().count("run")
