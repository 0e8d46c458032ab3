"""The Consul of a test session."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import httpx
import pytest

from airflow_provider_chefconsul.testing.consul_agent import (
    ConsulAgent,
    agent_config,
    agent_environment,
    server_command,
)
from airflow_provider_chefconsul.testing.consul_program import BINARY
from airflow_provider_chefconsul.testing.consul_server import ConsulServer
from airflow_provider_chefconsul.testing.processes import Processes

INTERRUPTS = """#!{python}
import json, os, pathlib, signal, socket, sys, time

if "version" in sys.argv:
    sys.exit()
pathlib.Path({pid!r}).write_text(str(os.getpid()))
config = json.loads(pathlib.Path(sys.argv[-1].partition("=")[2]).read_text())
with socket.create_server(("127.0.0.1", config["ports"]["http"])) as server:
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
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            ConsulServer(tmp_path).start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not Path("/proc", pid.read_text()).exists()


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(("version", "has_port"), [("1.8.7", False), ("1.22.7", True)])
def test_grpc_with_tls_is_closed_where_consul_knows_it(version: str, has_port: bool, in_memory: bool, tmp_path: Path):
    """Two servers of a newer Consul would fight for 8503; an older one refuses the name of that port."""
    program = tmp_path / "consul"
    program.write_text(f"#!/bin/sh\necho 'Consul v{version}'\n")
    program.chmod(0o755)
    command, config = server_command(program, in_memory=in_memory)
    with Processes() as processes:
        agent = ConsulAgent(
            "server", None, tmp_path / "server", command=command, config={**config, **agent_config(program)},
            environment=agent_environment(), processes=processes,
        )  # fmt: skip
        agent.start()
        ports = json.loads((tmp_path / "server" / "config.json").read_text())["ports"]
    assert ("grpc_tls" in ports) == has_port
    assert ports["serf_wan"] == -1
    assert ports["http"] == agent.http_port


def test_server_leads_and_is_stopped(consul_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By its process id, whatever runs beside it."""
    monkeypatch.setenv(BINARY, str(consul_binary))
    server = ConsulServer(tmp_path)
    server.start()
    pid = server.pid
    assert pid is not None
    assert httpx.get(f"{server.settings('root').url}/v1/status/leader", trust_env=False).json()
    server.stop()
    assert server.pid is None
    assert not Path("/proc", str(pid)).exists()
