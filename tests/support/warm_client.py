"""The simulated chef-client without the start of an interpreter for each run: one process has loaded it, and forks.

``python -m tests.support.warm_client`` is that process; it prints its port. A rollout makes its eight nodes run forty
times, and an interpreter that loads the client costs three times as much as the rest of a run.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseRequestHandler, ForkingMixIn, StreamRequestHandler, TCPServer

from airflow_provider_chefconsul.simulator import client
from demo.nodes import SimulatedClient

# The client's arguments go there; its output comes back, and the exit code as the last line.
PROGRAM = """\
#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1
printf '%q ' "$@" >&3
echo >&3
while IFS= read -r line <&3; do
  case $line in "exit "*) exit "${{line#exit }}" ;; *) echo "$line" ;; esac
done
exit 1
"""


@dataclass(frozen=True)
class WarmClient(SimulatedClient):
    """The demo's program, but for the interpreter; a run takes no time.

    :param program: what runs in its place.
    """

    seconds: float = 0
    program: Path = Path()

    def install(self, home: Path, node: str, tier: str) -> str:
        """Give the program's text."""
        text, cold = super().install(home, node, tier), f"exec {shlex.quote(sys.executable)} -m {client.__name__} "
        assert cold in text
        return text.replace(cold, f"exec {shlex.quote(str(self.program))} ")


@contextmanager
def started_warm_client(directory: Path) -> Iterator[WarmClient]:
    """The client, while the process behind it runs.

    :param directory: for the program.
    """
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that runs end with it
    ) as server:
        assert server.stdout is not None
        program = directory / "client"
        program.write_text(PROGRAM.format(port=int(server.stdout.readline())))
        program.chmod(0o755)
        yield WarmClient(program=program)
        os.killpg(server.pid, signal.SIGKILL)


class _Run(StreamRequestHandler):
    """A run, in a process of its own."""

    def handle(self) -> None:
        arguments = shlex.split(self.rfile.readline().decode())
        for descriptor in (1, 2):
            os.dup2(self.connection.fileno(), descriptor)
        try:
            code: object = client.main(arguments)
        except SystemExit as exit_:
            code = exit_.code
        os.write(1, f"exit {code}\n".encode())


class _Server(ForkingMixIn, TCPServer):
    request_queue_size = 100

    def __init__(self, handler: type[BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._parent = os.getppid()

    def service_actions(self) -> None:
        """Also end with the tests, however they end."""
        super().service_actions()
        if os.getppid() != self._parent:
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    with _Server(_Run) as serving:
        os.write(1, f"{serving.server_address[1]}\n".encode())
        serving.serve_forever()
