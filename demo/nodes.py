"""The demo's nodes: which there are, and what runs on them as chef-client."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from airflow_provider_chefconsul.consul.keys import Keys
from demo.cluster import ConsulCluster

ENVIRONMENT = "demo"
TIERS = {"web": ("web-1", "web-2", "web-3"), "app": ("app-1", "app-2", "app-3"), "db": ("db-1", "db-2")}
WORK_SECONDS = 1.0

# The node's agent runs this when the desired state changes and when the agent starts, and remote execution finds it on
# the PATH. Both at once would run twice, as on a real node, hence --if-needed. CONSUL_HTTP_ADDR is the agent's own.
_CHEF_CLIENT = """\
#!/bin/sh
# Stands in for chef-client on node {node}: no Chef is installed here.
# Try `echo --fail > {faults}` (or --hang, --seconds 20), and remove the file to mend the node.
exec {python} -m airflow_provider_chefconsul.simulator.client --node {node} --tier {tier} \\
  --environment {environment} --consul "$CONSUL_HTTP_ADDR" --state-dir {directory} --if-needed \\
  --seconds {seconds} $(cat {faults} 2>/dev/null)
"""


def add_node(cluster: ConsulCluster, directory: Path, node: str, tier: str, *, seconds: float = WORK_SECONDS) -> None:
    """Add a node to the cluster, with a chef-client that its agent's watch and remote execution run.

    :param directory: where the node's files go, in a directory of its own.
    :param seconds: how long a run of its client takes.
    """
    home = directory / node
    program = home / "bin" / "chef-client"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        _CHEF_CLIENT.format(
            python=shlex.quote(sys.executable),
            node=node,
            tier=tier,
            environment=ENVIRONMENT,
            directory=shlex.quote(str(home)),
            faults=shlex.quote(str(home / "faults")),
            seconds=seconds,
        )
    )
    program.chmod(0o755)
    cluster.add_node(
        node,
        tier=tier,
        bin_dir=program.parent,
        watch_key=Keys().desired(ENVIRONMENT, tier),
        watch_command=[str(program)],
    )
