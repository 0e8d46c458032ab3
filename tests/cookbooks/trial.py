"""Nodes that a real chef-client converges with the test's own cookbook, and their documents in Consul."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.testing.consul_agent import agent_environment
from demo.chef_client import COOKBOOKS, ChefClient
from tests.support.factory import make_assignment, make_desired
from tests.support.raw_keys import RawKeys

PATIENCE_OF_TESTS = 60.0  # how long a test waits for what must come; no test asserts how long it took
TRIGGER = COOKBOOKS / "desired_state" / "libraries" / "trigger.rb"


@dataclass(frozen=True)
class Ran:
    """A program's exit code and output."""

    code: int
    output: str


class Trial:
    """The cookbook ``trial``, nodes that run it, and environment demo under the test's own prefix.

    Ends what it started, and what that left behind in its process group, when it is left.
    """

    def __init__(self, chef: ChefClient, port: int, root: str, keys: RawKeys, directory: Path) -> None:
        self.chef = chef
        self.keys = keys
        self.directory = directory
        self.settings = {
            "environment": "demo",
            "prefix": root,
            "consul_url": f"http://127.0.0.1:{port}",
            "patience": 20,
        }
        self.processes: list[subprocess.Popen[str]] = []
        self.write("metadata.rb", "name 'trial'\ndepends 'desired_state'\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.returncode is None:
                kill(process)
            process.stdout.close()

    @property
    def cookbooks(self) -> Path:
        """The directory of the test's own cookbook."""
        return self.directory / "cookbooks"

    def write(self, path: str, text: str) -> None:
        """Write a file of the cookbook."""
        file = self.cookbooks / "trial" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def recipe(self, text: str) -> None:
        """Write the recipe that nodes run."""
        self.write("recipes/default.rb", text)

    def node(self, name: str = "web-1", **settings: Any) -> TrialNode:
        """A node with its own directory; ``settings`` are the cookbook's."""
        return TrialNode(self, name, settings)

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Start a program in a process group of its own."""
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=self.directory,
            env=agent_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def desire(self, generation: int = 7, state: str = "converged", tier: str = "web", **overrides: Any) -> None:
        """Write a tier's desired state, release 2.5.0."""
        desired = make_desired(generation, **{"stable": make_assignment(generation, state=state)} | overrides)
        self.keys[f"demo/{tier}/desired"] = desired.to_json()

    def report(self, node: str = "web-1", tier: str = "web") -> NodeReport:
        """A node's report, read as the orchestrator does."""
        key = f"demo/{tier}/nodes/{node}"
        return NodeReport.from_json(key, self.keys[key])


class TrialNode:
    """A node: its directory, and the attributes that its runs get.

    :param settings: of the cookbook; a test may change them between runs.
    """

    def __init__(self, trial: Trial, name: str, settings: dict[str, Any]) -> None:
        self.trial = trial
        self.name = name
        self.home = trial.directory / name
        self.home.mkdir()
        self.state = self.home / "desired_state"
        self.settings = trial.settings | {"node_name": name, "state_dir": str(self.state)} | settings
        self.attributes: dict[str, Any] = {"run_list": ["recipe[trial]"]}
        (self.home / "client.rb").write_text(
            f"node_name '{name}'\n"
            f"chef_repo_path '{self.home}'\n"
            f"cookbook_path ['{COOKBOOKS}', '{trial.cookbooks}']\n"
            f"file_cache_path '{self.home / 'cache'}'\n"
            f"file_backup_path '{self.home / 'backup'}'\n"
            "minimal_ohai true\n"
        )

    def command(self, *arguments: str) -> list[object]:
        """The command that runs Chef on this node, with its current attributes."""
        attributes = self.home / "node.json"
        attributes.write_text(json.dumps(self.attributes | {"desired_state": self.settings}))
        options = ["--local-mode", "--config", self.home / "client.rb", "--json-attributes", attributes, "--no-color"]
        return [self.trial.chef.program, *options, *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run."""
        return self.trial.start(*self.command(*arguments))

    def converge(self, *arguments: str) -> Ran:
        """Run Chef to its end."""
        return finish(self.start(*arguments))

    def start_trigger(self, *command: object, program: Path = TRIGGER, settings: Path) -> subprocess.Popen[str]:
        """Start the trigger for tier web."""
        return self.trial.start(self.trial.chef.ruby, program, "--settings", settings, "--tier", "web", "--", *command)

    def kept_reports(self) -> list[dict[str, Any]]:
        """The reports that wait in the node's outbox."""
        return [json.loads(path.read_text())["report"] for path in sorted((self.state / "outbox").glob("*.json"))]


class Gate:
    """A point in a recipe at which Chef waits for the test; once the gate is left, Chef passes without waiting."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_OF_TESTS)
        self._standing: list[socket.socket] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.open()

    @property
    def ruby(self) -> str:
        """The expression that waits."""
        port = self._listener.getsockname()[1]
        return f"begin; TCPSocket.new('127.0.0.1', {port}).read; rescue SystemCallError; nil; end"

    def wait(self) -> None:
        """Wait until a run is at the gate."""
        connection, _ = self._listener.accept()
        self._standing.append(connection)

    def open(self) -> None:
        """Let the runs at the gate pass."""
        while self._standing:
            self._standing.pop().close()


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for a program to exit by itself."""
    output, _ = process.communicate(timeout=PATIENCE_OF_TESTS)
    return Ran(process.returncode, output)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Wait until a program has printed a line with this text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if re.search(words, line):
            return
        lines.append(line)
    raise AssertionError(f"it ended without saying {words!r}:\n{''.join(lines)}")


def children_of(pid: int) -> list[int]:
    """The processes below another one, the nearest first."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *children_of(child)]
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a program and its process group, as a power cut would."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
