"""A process that runs Dags one after the other: Airflow takes seconds to start, so a session starts it once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any


class DagWorker:
    """The parent's side of that process.

    :param environment: the environment variables, which configure its Airflow.
    :param log: where its output goes while it runs no Dag.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "airflow_provider_chefconsul.testing.run_dag", str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # so that its children end with it
            )
        self._answers = self._socket.makefile("r")

    def ask(self, question: Mapping[str, Any], timeout: timedelta) -> dict[str, Any]:
        """Run a Dag, and return how it ended.

        :raises TimeoutError: it has not ended in time.
        :raises EOFError: the process has ended instead.
        """
        self._socket.settimeout(timeout.total_seconds())
        try:
            self._socket.sendall(json.dumps(question).encode() + b"\n")
            line = self._answers.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = ""
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Kill the process, with whatever it started."""
        self._answers.close()
        self._socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
