"""A node whose client the tests run as a process, and the test's own view of what Consul holds for it."""

from __future__ import annotations

import fcntl
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).parents[2]
MODULE = "airflow_provider_chefconsul.simulator.client"
ANNOUNCEMENT = "simulated chef-client (no real Chef here): "
PATIENCE_OF_TESTS = 30.0  # how long a test waits for what must come; no test asserts how long it took


class Node:
    """Node web-1 of tier web in environment demo under a KV root of its own; ends what it started when it is left.

    :param token: for what the test itself asks of Consul; the clients get theirs from a file.
    """

    def __init__(self, port: int, root: str, state_dir: Path | None, token: str | None = None) -> None:
        self.port = port
        self.token = token
        self.root = root
        self.state_dir = state_dir
        self.desired_key = f"{root}/demo/web/desired"
        self.report_key = f"{root}/demo/web/nodes/web-1"
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def put(self, key: str, value: str) -> None:
        """Write a key as somebody else would."""
        assert self.request("PUT", key, value.encode())[0] == 200

    def get(self, key: str) -> str | None:
        """Read a key; None when it does not exist."""
        status, answer = self.request("GET", f"{key}?raw", None)
        return answer.decode() if status == 200 else None

    def request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """One request to Consul's key-value store."""
        return self.ask(method, f"kv/{path}", body)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request to Consul."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"X-Consul-Token": self.token} if self.token else {}
            connection.request(method, f"/v1/{path}", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def desire(
        self, generation: int = 1, state: str = "converged", assignment_id: str | None = None, **fields: Any
    ) -> None:
        """Write the desired state; without an id as older writers did."""
        stable = {"generation": generation, "state": state, "values": {"release": "2.5.0"}, "id": assignment_id}
        writer = {"dag_id": "shop", "run_id": "manual", "task_id": "set", "map_index": -1}
        document = {"schema": 1, "generation": generation, "stable": stable, "written_by": writer, "written_at": "now"}
        self.put(self.desired_key, json.dumps(document | fields))

    def report(self, node: str = "web-1") -> dict[str, Any] | None:
        """The node's report."""
        text = self.get(f"{self.root}/demo/web/nodes/{node}")
        return None if text is None else json.loads(text)

    def reported(self, *fields: str) -> list[Any]:
        """Some fields of the node's report, which must be there."""
        report = self.report()
        assert report is not None
        return [report[field] for field in fields]

    def start(self, *arguments: str, starter: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        """Start a client; later arguments win over those that every test needs."""
        command = [sys.executable, "-m", MODULE, "--node", "web-1", "--tier", "web", "--environment", "demo"]
        command += ["--consul", f"http://127.0.0.1:{self.port}", "--root", self.root, "--patience", "20"]
        command += ["--state-dir", str(self.state_dir)] if self.state_dir else []
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen([*starter, *command, *arguments], cwd=PROJECT, **(pipes | options))
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Run a client to its end: exit code and output."""
        return finish(self.start(*arguments, **options))

    def start_until(self, words: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a client and return when it has printed a line with these words."""
        process = self.start(*arguments, **options)
        assert process.stdout is not None
        for line in process.stdout:
            if words in line:
                return process
        raise AssertionError(f"the client ended without saying {words!r}")

    @contextmanager
    def held_run_lock(self) -> Iterator[None]:
        """Hold the node's run lock as a run in progress does."""
        assert self.state_dir is not None
        with (self.state_dir / "web-1.run.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and the rest of the output of a client that comes to its end by itself."""
    output, _ = process.communicate(timeout=PATIENCE_OF_TESTS)
    return process.returncode, output
