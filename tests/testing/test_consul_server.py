"""The Consul of a test session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_provider_chefconsul.testing.consul_server import BINARY, ConsulServer

INTERRUPTS = """#!{python}
import os, pathlib, signal, socket, sys, time

pathlib.Path({pid!r}).write_text(str(os.getpid()))
with socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("-http-port") + 1]))) as server:
    asking, _ = server.accept()
    asking.recv(1)  # it waits for an answer from now on
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)
"""


def test_ctrl_c_while_it_starts_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It has a session of its own, so that nobody else would end it."""
    program, pid = tmp_path / "consul", tmp_path / "pid"
    program.write_text(INTERRUPTS.format(python=sys.executable, pid=str(pid)))
    program.chmod(0o755)
    monkeypatch.setenv(BINARY, str(program))
    with pytest.raises(KeyboardInterrupt):
        ConsulServer(tmp_path).start()
    assert not Path("/proc", pid.read_text()).exists()
