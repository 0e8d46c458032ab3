"""Triggers that run a command by remote execution, cancelled while it runs. Real agents run the commands."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import consul
import pytest

from airflow_provider_chefconsul.nudge.request import NudgeRequest
from airflow_provider_chefconsul.triggers.remote_exec import RemoteExecTrigger
from airflow_provider_chefconsul.triggers.transition import TransitionTrigger
from tests.support.airflow_home import connect, run_trigger
from tests.support.factory import make_desired, make_policy, make_wait

NODES = ["web-1", "web-2"]


@pytest.fixture(scope="module")
def agents(consul_binary, tmp_path_factory):
    """A cluster of its own with two web nodes, whose agents accept remote execution."""
    from demo.cluster import ConsulCluster

    with ConsulCluster(consul_binary, tmp_path_factory.mktemp("agents"), in_memory=True) as cluster:
        for node in NODES:
            cluster.add_node(node, tier="web")
        cluster.wait_until_ready()
        yield cluster


@pytest.fixture
def plain_consul(agents, monkeypatch) -> consul.Consul:
    """py-consul's own client of the agents' Consul, which the default connection names too."""
    connect(monkeypatch, agents.http_port)
    return consul.Consul(host="127.0.0.1", port=agents.http_port)


@pytest.fixture
def left_behind(plain_consul) -> Callable[[], tuple[list[Any], list[str]]]:
    """The sessions, and the keys of remote execution, that Consul holds now."""
    return lambda: (plain_consul.session.list()[1], plain_consul.kv.get("_rexec/", keys=True)[1] or [])


def make_trigger(command: str, **overrides: Any) -> RemoteExecTrigger:
    """A trigger of both nodes, with a job of its own and time enough."""
    deadline = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()
    defaults = {"consul_conn_id": "consul_default", "nodes": NODES, "job_id": uuid4().hex, "deadline": deadline}
    return RemoteExecTrigger(**defaults | {"command": command} | overrides)


def make_transition(command: str) -> TransitionTrigger:
    """A trigger that nudges both nodes at once with a job of its own, and waits for them."""
    request = NudgeRequest(command, uuid4().hex, 1, datetime.now(UTC))
    wait = make_wait(deadline=datetime.now(UTC) + timedelta(seconds=50))
    return TransitionTrigger(
        consul_conn_id="consul_default",
        environment="demo",
        waits={"web": wait.to_fields()},
        policy=make_policy().to_fields(),
        members=NODES,
        nudge=request.to_fields(),
    )


async def cancel_when(trigger: RemoteExecTrigger | TransitionTrigger, has_come: Callable[[], bool]) -> None:
    """Cancel the trigger as the triggerer does, once something has come."""
    running = asyncio.create_task(anext(trigger.run()))
    async with asyncio.timeout(30):
        while not has_come():
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("make", [make_trigger, make_transition])
async def test_cancelled_trigger_leaves_nothing_in_consul(plain_consul, left_behind, tmp_path, make):
    """In the middle of a command that both nodes acknowledged: no session and no key stay behind."""
    plain_consul.kv.put("chefconsul/demo/web/desired", make_desired(7).to_json())
    pids = tmp_path / "pids"
    pids.touch()

    def acknowledged() -> bool:
        _, keys = left_behind()
        return {key.split("/")[2] for key in keys if key.endswith("/ack")} == set(NODES)

    try:
        await cancel_when(make(f"echo $$ >>{pids}; exec sleep 60"), acknowledged)
        assert left_behind() == ([], [])
        await asyncio.sleep(1)  # the command's next heartbeat
        assert left_behind() == ([], [])
    finally:
        _kill(pids)


async def test_cancelled_job_runs_once(left_behind, tmp_path):
    """Started again with the same job, the trigger waits for the first run's exit code; nothing runs twice."""
    log = tmp_path / "log"
    log.touch()
    trigger = make_trigger(f"echo ran >>{log}; sleep 2; exit 6")
    await cancel_when(trigger, lambda: log.read_text() == "ran\n" * 2)

    payload = await run_trigger(trigger)
    assert payload["error"] == ""
    assert {node: (each["outcome"], each["exit_code"]) for node, each in payload["results"].items()} == dict.fromkeys(
        NODES, ("exited", 6)
    )
    assert log.read_text() == "ran\n" * 2
    assert left_behind() == ([], [])


def _kill(pids: Path) -> None:
    for pid in pids.read_text().split():
        os.kill(int(pid), signal.SIGKILL)
