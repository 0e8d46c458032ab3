"""A real chef-client on the demo's nodes: local mode, the cookbooks of this project, one directory for each node."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from demo.nodes import ENVIRONMENT

_PATIENCE = 300  # seconds; 3 on an idle machine
NAMES = ("chef-client", "cinc-client")
COOKBOOKS = Path(__file__).resolve().parent.parent / "cookbooks"


class ChefError(RuntimeError):
    """A chef-client is there, and cannot be used."""


@dataclass
class ChefClient:
    """Converges nodes with the cookbook ``shop``.

    :param program: the chef-client.
    :param ruby: the Ruby that runs the trigger, which coalesces what watch and remote execution start.
    :param version: what the client prints as its version.
    :param store: the directory that is the shop's database, shared by the nodes of tier db.
    """

    program: Path
    ruby: Path
    version: str
    store: Path
    _ports: dict[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """Describe it in one line."""
        return f"chef-client: {self.program} ({self.version}) converges every node"

    def install(self, home: Path, node: str, tier: str) -> str:
        """Give the program's text, and write the configuration that it reads."""
        configuration, attributes, settings = home / "client.rb", home / "node.json", home / "settings.json"
        state = home / "chef"
        port = self._ports[node] = free_port()
        desired_state = {"environment": ENVIRONMENT, "node_name": node, "state_dir": str(state / "desired_state")}
        shop = {
            "root": str(home / "shop"),
            "ports": {tier: port},
            "store": str(self.store),
            "supervisor": "process",  # ends with the node's agent, whose process group it shares
        }
        settings.write_text(json.dumps(desired_state, indent=2))
        attributes.write_text(
            json.dumps({"run_list": [f"recipe[shop::{tier}]"], "desired_state": desired_state, "shop": shop}, indent=2)
        )
        configuration.write_text(
            f"node_name {_ruby(node)}\n"
            f"chef_repo_path {_ruby(state)}\n"
            f"cookbook_path {_ruby(COOKBOOKS)}\n"
            f"file_cache_path {_ruby(state / 'cache')}\n"
            f"file_backup_path {_ruby(state / 'backup')}\n"
            f"pid_file {_ruby(state / 'chef-client.pid')}\n"
            f"log_location {_ruby(home / 'chef.log')}\n"
            "minimal_ohai true\n"
        )
        trigger = (
            COOKBOOKS / "desired_state" / "libraries" / "trigger.rb",
            "--settings",
            settings,
            "--tier",
            tier,
            "--",
        )
        chef = (self.program, "--local-mode", "--config", configuration, "--json-attributes", attributes, "--no-color")
        return f"""\
#!/bin/sh
# Converges node {node}: its agent's watch and remote execution run this.
exec {shlex.join(map(str, (self.ruby, *trigger, *chef)))}
"""

    def url(self, node: str) -> str | None:
        """The address at which the node's tier answers."""
        return f"http://{ADDRESS}:{self._ports[node]}/"


def find_chef(store: Path) -> ChefClient | None:
    """Find a chef-client or cinc-client on the PATH.

    :raises ChefError: there is one that does not run, or there is no Ruby beside it.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        return None
    program = Path(found)
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChefError(f"{program} does not run: {error}") from error
    version = re.search(r"(\S.*): (\d+\.\d+\.\d+)", done.stdout)
    if done.returncode != 0 or version is None:
        raise ChefError(f"{program} does not run: {done.stderr.strip() or done.stdout.strip()}")
    return ChefClient(program, _find_ruby(program), f"{version[1]} {version[2]}", store)


def _ruby(text: object) -> str:
    """Write a string literal of Ruby."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _find_ruby(chef: Path) -> Path:
    embedded = chef.resolve().parent.parent / "embedded" / "bin" / "ruby"
    if embedded.exists():
        return embedded
    if on_path := shutil.which("ruby"):
        return Path(on_path)
    raise ChefError(f"{chef} was found, but no Ruby for its trigger: neither {embedded} nor one on the PATH")
