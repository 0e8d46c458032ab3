"""SSHChefTrigger that is started again, comes late, or cannot work. A real sshd runs the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.triggers.ssh_chef import SSHChefTrigger
from tests.support.airflow_home import run_trigger
from tests.support.ssh_fixtures import HOSTS

NODES = list(HOSTS)


@pytest.fixture(autouse=True)
def hosts(consul_connection, ssh_connection, ssh_hosts):
    """Four nodes, which both default connections reach."""
    ssh_hosts(*NODES)
    return ssh_hosts


def make_trigger(command: str, **overrides: Any) -> SSHChefTrigger:
    """A trigger of all nodes, with a job of its own and time enough."""
    deadline = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    defaults = {"consul_conn_id": "consul_default", "nodes": NODES, "job_id": uuid4().hex, "deadline": deadline}
    return SSHChefTrigger(**defaults | {"command": command} | overrides)


def outcomes(payload: dict[str, Any]) -> dict[str, Any]:
    """By node, the exit code or what became of it."""
    assert payload["error"] == ""
    return {node: each["exit_code"] or each["outcome"] for node, each in payload["results"].items()}


async def cancel_when(trigger: SSHChefTrigger, has_come: Callable[[], bool]) -> None:
    """Cancel the trigger as a triggerer that stops does, once something has come."""
    running = asyncio.create_task(anext(trigger.run()))
    async with asyncio.timeout(30):
        while not has_come():
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_restarted_trigger_repeats_nothing(tmp_path):
    """One node had exited, one runs, two wait: each runs once, never two at a time, and all exit codes are known."""
    log = tmp_path / "log"
    log.touch()
    command = f"""
        set -- $SSH_CONNECTION; echo + $3 >>{log}
        while [ $3 = {HOSTS["web-2"]} ] && [ ! -e {tmp_path}/go ]; do sleep 0.1; done
        echo - $3 >>{log}; exit ${{3##*.}}
    """
    trigger = make_trigger(command, max_parallel=1)
    await cancel_when(trigger, lambda: log.read_text().endswith(f"+ {HOSTS['web-2']}\n"))

    again = asyncio.create_task(run_trigger(trigger))
    await asyncio.sleep(1)
    (tmp_path / "go").touch()
    assert outcomes(await again) == {"web-1": 2, "web-2": 3, "web-3": 4, "web-4": 5}
    assert log.read_text() == "".join(f"+ {address}\n- {address}\n" for address in HOSTS.values())


async def test_known_results_stay(tmp_path):
    """What came before the deferral is kept as it was, and nobody is connected to for it."""
    known = {
        "web-1": {"outcome": "exited", "exit_code": 3, "output": "no space left", "reason": ""},
        "web-2": {"outcome": "unacknowledged", "exit_code": None, "output": "", "reason": "it was down"},
    }
    payload = await run_trigger(make_trigger(f"set -- $SSH_CONNECTION; touch {tmp_path}/$3", results=known))
    assert {node: payload["results"][node] | {"node": node} for node in known} == {
        node: {"node": node, **fields} for node, fields in known.items()
    }
    assert {path.name for path in tmp_path.iterdir()} == {HOSTS["web-3"], HOSTS["web-4"]}


async def test_addresses_are_those_of_now(hosts, tmp_path):
    """A node that came back at another address while the triggerer was away is found there."""
    trigger = make_trigger(f"set -- $SSH_CONNECTION; touch {tmp_path}/$3", nodes=["web-1"])
    hosts("web-1", address="127.0.0.5")
    assert outcomes(await run_trigger(trigger)) == {"web-1": "exited"}
    assert [path.name for path in tmp_path.iterdir()] == ["127.0.0.5"]


async def test_node_that_left_the_catalog_is_unacknowledged():
    """There is no address for it."""
    payload = await run_trigger(make_trigger("true", nodes=["web-1", "web-99"]))
    assert outcomes(payload) == {"web-1": "exited", "web-99": "unacknowledged"}
    assert "its address ''" in payload["results"]["web-99"]["reason"]


async def test_late_trigger_starts_nothing(tmp_path):
    """The deadline is a moment, not a duration that begins anew with each triggerer."""
    deadline = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    payload = await run_trigger(make_trigger(f"touch {tmp_path}/ran", deadline=deadline))
    assert outcomes(payload) == dict.fromkeys(NODES, "unacknowledged")
    assert not (tmp_path / "ran").exists()


async def test_trouble_with_the_connection_is_an_event(ssh_connection):
    """The task is told, instead of a trigger that fails without a word."""
    ssh_connection(key_file="/nowhere")
    payload = await run_trigger(make_trigger("true"))
    assert payload == {
        "error": "InvalidInput: connection ssh_default: [Errno 2] No such file or directory: '/nowhere'",
        "results": {},
    }


async def test_lease_is_renewed_meanwhile(consul_kv):
    """The Dag run that holds the environment keeps it while its nodes run."""
    lease = Lease.begin(
        DagRun("shop", "manual__1"), timedelta(minutes=5), "", now=datetime.now(UTC) - timedelta(minutes=4)
    )
    consul_kv["demo/_lease"] = lease.to_json()
    holder = {"dag_id": "shop", "run_id": "manual__1"}
    await run_trigger(make_trigger("sleep 0.5", environment="demo", holder=holder))
    assert Lease.from_json("_lease", consul_kv["demo/_lease"]).expires_at > lease.expires_at
