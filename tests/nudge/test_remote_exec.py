"""Remote execution on real agents."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, InvalidInput, RequestRejected, RequestTooLarge
from airflow_provider_chefconsul.nudge.remote_exec import run_over_consul
from airflow_provider_chefconsul.nudge.result import NO_SHELL, CommandOutcome, NodeResult, describe_trouble
from airflow_provider_chefconsul.testing.port import free_port
from demo.cluster import ConsulCluster
from tests.support.peer import Answer, Peer, Request

NODES = ["web-1", "web-2", "web-3"]
DISABLED = "web-4"


@pytest.fixture(scope="module")
def agents(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulCluster]:
    """Three nodes, and a fourth whose agent executes nothing; tests may kill what they start again."""
    cluster = ConsulCluster(consul_binary, tmp_path_factory.mktemp("agents"))
    for node in NODES:
        cluster.add_node(node, tier="web")
    cluster.add_node(DISABLED, tier="web", extra_config={"disable_remote_exec": True})
    with cluster:
        yield cluster


@pytest.fixture
async def client(agents: ConsulCluster) -> AsyncIterator[ConsulClient]:
    """A client of the server; afterwards, nothing of any execution may be left."""
    async with ConsulClient(ConsulSettings("127.0.0.1", agents.http_port)) as client:
        yield client
        _, sessions = await client.session.list()
        assert sessions == []
        assert (await client.names(""))[1] == []


class Log:
    """A file that commands append to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> str:
        """What was written."""
        return self._path.read_text()

    async def wait_for(self, lines: int) -> None:
        """Wait until so many lines were written."""
        async with asyncio.timeout(30):
            while self.read().count("\n") < lines:  # noqa: ASYNC110 - other processes write it
                await asyncio.sleep(0.02)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A new log."""
    return Log(tmp_path / "log")


async def run(client: ConsulClient, command: str, nodes: Any = NODES, **overrides: Any) -> dict[str, NodeResult]:
    """Execute with a new job id and a deadline far away."""
    defaults = {"job_id": uuid4().hex, "deadline": datetime.now(UTC) + timedelta(seconds=50)}
    return await run_over_consul(client, command, nodes, **defaults | overrides)


async def find_session(client: ConsulClient) -> str:
    """The session of the one execution that runs."""
    _, (session,) = await client.session.list()
    return str(session["ID"])


def exited(code: int, output: str = "", nodes: Any = NODES) -> dict[str, NodeResult]:
    """The same exit from every node."""
    return {node: NodeResult(node, CommandOutcome.EXITED, code, output) for node in nodes}


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("true", 0, ""),
        ("echo unread", 0, ""),
        ("echo out; echo err >&2; exit 3", 3, "out\nerr\n"),
        ("echo said; exit 255", 255, "said\n"),
        ("kill -9 $$", 137, "Killed\n"),
        ("kill -9 $PPID", -1, ""),
    ],
)
async def test_exit_codes(client: ConsulClient, command: str, code: int, output: str) -> None:
    """Each node's exit code arrives, with the output of failures."""
    assert await run(client, command) == exited(code, output)


async def test_an_agent_that_cannot_start_a_shell(agents: ConsulCluster, client: ConsulClient) -> None:
    """As on Windows, which has no /bin/sh: Consul says no more than 255, and the log's line what that may mean."""
    pid = agents.nodes["web-2"].pid
    assert pid is not None
    before = resource.prlimit(pid, resource.RLIMIT_STACK)
    resource.prlimit(pid, resource.RLIMIT_STACK, (64 * 1024, before[1]))  # so that Linux refuses long arguments
    try:
        results = await run(client, "exit 3 #".ljust(128 * 1024 - 1, "x"), NODES[:2])
    finally:
        resource.prlimit(pid, resource.RLIMIT_STACK, before)

    assert results == exited(3, nodes=NODES[:1]) | {
        "web-2": NodeResult("web-2", CommandOutcome.EXITED, 255, reason=NO_SHELL)
    }
    trouble = describe_trouble(results["web-2"], "chef-client", unanswered="")
    assert trouble == f"web-2: 'chef-client' exited with 255; {NO_SHELL}\n"


async def test_nobody(client: ConsulClient) -> None:
    """No nodes, no results, and nothing sent."""
    assert await run(client, "true", []) == {}


async def test_nodes_that_do_not_answer(client: ConsulClient) -> None:
    """An agent that executes nothing and a node that does not exist are named; the others are not held up by them."""
    lines: list[str] = []
    nodes = [*NODES, DISABLED, "ghost"]
    results = await run(client, "true", nodes, ack_timeout=timedelta(seconds=4), on_progress=lines.append)

    lost = {node: NodeResult(node, CommandOutcome.UNACKNOWLEDGED) for node in (DISABLED, "ghost")}
    assert results == exited(0) | lost
    assert lines[-1] == "of 5 nodes 2 given up, 3 exited"


async def test_many_long_names(client: ConsulClient) -> None:
    """Forty names of 100 characters need twenty events: each that exists among them is reached."""
    ghosts = [f"{number:02}.{'x' * 97}" for number in range(37)]
    nodes = [*ghosts[:20], *NODES, *ghosts[20:]]
    results = await run(client, "exit 3", nodes, ack_timeout=timedelta(seconds=4))

    assert {node: results[node] for node in NODES} == exited(3)
    assert Counter(result.outcome for result in results.values()) == {
        CommandOutcome.EXITED: 3,
        CommandOutcome.UNACKNOWLEDGED: 37,
    }


async def test_duplicate_events_run_the_command_once(client: ConsulClient, log: Log) -> None:
    """An event that comes twice, early or late, changes neither what ran nor what it exited with."""
    running = asyncio.create_task(run(client, f"echo ran >>{log}; sleep 1; exit 3"))
    await log.wait_for(1)
    payload = json.dumps({"Prefix": "_rexec", "Session": await find_session(client)})
    for _ in range(3):
        await client.event.fire("_rexec", payload, node="^web-")
        await asyncio.sleep(0.1)

    assert await running == exited(3)
    assert log.read() == "ran\n" * 3


async def test_max_parallel(client: ConsulClient, log: Log) -> None:
    """No more nodes run at once than allowed, and each has its turn."""
    results = await run(client, f"echo start >>{log}; sleep 0.3; echo stop >>{log}", max_parallel=1)

    assert results == exited(0)
    assert log.read() == "start\nstop\n" * 3


async def test_same_job_again(client: ConsulClient, log: Log) -> None:
    """Nodes that ran a job give the same exit code again without running it."""
    command, job_id = f"echo ran >>{log}; echo why; exit 5", uuid4().hex
    first = await run(client, command, job_id=job_id)
    again = await run(client, command, job_id=job_id)

    assert first == again == exited(5, "why\n")
    assert log.read() == "ran\n" * 3


async def test_cancelled_job_again(client: ConsulClient, log: Log) -> None:
    """Cancelling leaves nothing in Consul; the same job, run again, waits for the nodes that still run it."""
    command, job_id = f"echo ran >>{log}; sleep 2; exit 6", uuid4().hex
    running = asyncio.create_task(run(client, command, job_id=job_id))
    await log.wait_for(3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await client.session.list())[1] == []
    assert (await client.names("_rexec/"))[1] == []

    assert await run(client, command, job_id=job_id) == exited(6)
    assert log.read() == "ran\n" * 3


async def test_lost_session_is_replaced(client: ConsulClient, log: Log) -> None:
    """When the session is gone, another one finds the nodes where they are; nothing runs twice."""
    lines: list[str] = []
    deadline = datetime.now(UTC) + timedelta(seconds=12)  # sooner than silence would be noticed
    command = f"echo ran >>{log}; sleep 2; exit 7"
    running = asyncio.create_task(run(client, command, deadline=deadline, on_progress=lines.append))
    await log.wait_for(3)
    session = await find_session(client)
    await client.session.destroy(session)

    assert await running == exited(7)
    assert log.read() == "ran\n" * 3
    assert any(session in line and "trying again" in line for line in lines)


async def test_false_exit_is_not_believed(client: ConsulClient, log: Log) -> None:
    """An agent that failed to write a heartbeat says 255 while the command runs on: the true exit code is awaited."""
    running = asyncio.create_task(run(client, f"echo ran >>{log}; sleep 1; exit 8"))
    await log.wait_for(3)
    session = await find_session(client)
    await client.kv.put(f"_rexec/{session}/web-1/exit", "255", acquire=session)

    assert await running == exited(8)
    assert log.read() == "ran\n" * 3


async def test_strangers_are_ignored(client: ConsulClient, log: Log) -> None:
    """A node that nobody asked for may write what it likes, and so may anybody write what is no exit code."""
    running = asyncio.create_task(run(client, f"echo ran >>{log}; sleep 1; exit 3"))
    await log.wait_for(3)
    session = await find_session(client)
    for key, value in {
        "stranger/ack": "",
        "stranger/exit": "0",
        "web-1/exit": "none",
        "exit": "0",
        "x/y/z": "",
    }.items():
        await client.kv.put(f"_rexec/{session}/{key}", value)

    assert await running == exited(3)


async def test_deadline(client: ConsulClient, log: Log) -> None:
    """At the deadline, who runs is silent and whose turn never came is unacknowledged; nobody counts as done."""
    command = f"echo ran >>{log}; sleep 30"
    deadline = datetime.now(UTC) + timedelta(seconds=4)
    results = await run(client, command, ["web-1", "web-2"], max_parallel=1, deadline=deadline)

    assert results == {
        "web-1": NodeResult("web-1", CommandOutcome.SILENT),
        "web-2": NodeResult("web-2", CommandOutcome.UNACKNOWLEDGED),
    }


async def test_killed_agent_is_silent(agents: ConsulCluster, client: ConsulClient, log: Log) -> None:
    """A node that loses its power while it runs the command is silent, not done; the others' results stand."""
    command = f"echo ran >>{log}; sleep 2; exit 3"
    running = asyncio.create_task(run(client, command, silence_timeout=timedelta(seconds=6)))
    await log.wait_for(3)
    agents.kill_node("web-2")
    try:
        assert await running == exited(3) | {"web-2": NodeResult("web-2", CommandOutcome.SILENT)}
    finally:
        agents.restart_node("web-2")
        agents.wait_until_ready()


async def test_restarted_agent_says_how_it_ended(agents: ConsulCluster, client: ConsulClient, log: Log) -> None:
    """An agent that comes back while its node is still awaited is asked anew, and says that the command was killed."""
    command = f"echo ran >>{log}; sleep 30; exit 3"
    running = asyncio.create_task(run(client, command, ["web-2"], silence_timeout=timedelta(seconds=14)))
    await log.wait_for(1)
    agents.restart_node("web-2")
    agents.wait_until_ready()
    result = (await running)["web-2"]

    assert (result.outcome, result.exit_code) == (CommandOutcome.EXITED, 137)
    assert "killed before it ended" in result.output
    assert log.read() == "ran\n"


async def test_a_background_process_does_not_delay(client: ConsulClient, log: Log) -> None:
    """What the command leaves behind keeps its output open, and the node has exited all the same."""
    results = await run(client, f"sleep 60 & echo $! >>{log}")
    await run(client, f"kill $(cat {log}) || true", NODES[:1])

    assert results == exited(0)


async def test_largest_commands(client: ConsulClient) -> None:
    """The longest command runs; a longer one is refused before anything is sent, and what swells in JSON by Consul."""
    longest = "exit 3 #".ljust(128 * 1024 - 1, "x")

    assert await run(client, longest) == exited(3)
    with pytest.raises(InvalidInput, match="cannot be started"):
        await run(client, longest + "x")
    with pytest.raises(RequestTooLarge):
        await run(client, "\x01" * 100_000)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("max_parallel", 0), *(("prefix_per_node", value) for value in ("", "/rexec", "rexec/", "a//b", "a b"))],
)
async def test_senseless_parameters_are_refused(client: ConsulClient, parameter: str, value: Any) -> None:
    """Nobody would have a turn, or Consul would store the job elsewhere; the message names what was given."""
    with pytest.raises(InvalidInput, match=f"{parameter}.*{value}"):
        await run(client, "true", **{parameter: value})


async def test_unreachable_consul() -> None:
    """Nothing could be started: that is no result, it is an error that says why."""
    settings = ConsulSettings("127.0.0.1", free_port())
    async with ConsulClient(settings, retry_for=timedelta(seconds=0.1)) as client:
        with pytest.raises(ConsulUnavailable, match="before an event could be fired: .*cannot be reached"):
            await run(client, "true", deadline=datetime.now(UTC) + timedelta(seconds=2))


async def test_jobs_are_where_agents_look_for_them() -> None:
    """In the namespace ``default``, whatever the connection's is; the partition is the agents', too."""

    def answer(request: Request) -> Answer:
        return Answer(200, '{"ID": "5e55"}') if request.path == "/v1/session/create" else Answer(200, "[]")

    with Peer(answer) as peer:
        settings = ConsulSettings("127.0.0.1", peer.port, namespace="team", partition="eu")
        async with ConsulClient(settings, retry_for=timedelta(0)) as client:
            with pytest.raises(RequestRejected, match="/job"):  # which this peer does not store
                await run(client, "true")
    assert "/v1/session/create" in {request.path for request in peer.requests}
    places = {
        (request.headers["X-Consul-Namespace"], request.headers["X-Consul-Partition"]) for request in peer.requests
    }
    assert places == {("default", "eu")}


def test_server_outage(make_cluster: Callable[..., ConsulCluster], log: Log) -> None:
    """One heartbeat that cannot be written ends an agent's reports: the true exit codes arrive, nothing runs twice."""

    async def run_through_outage() -> dict[str, NodeResult]:
        settings = ConsulSettings("127.0.0.1", cluster.http_port)
        async with ConsulClient(settings, retry_for=timedelta(seconds=0.1)) as client:
            running = asyncio.create_task(
                run(client, f"echo ran >>{log}; sleep 8; exit 9", nodes, silence_timeout=timedelta(seconds=10))
            )
            await log.wait_for(2)
            cluster.kill_server()
            await asyncio.sleep(2)
            await asyncio.to_thread(cluster.restart_server)
            for node in cluster.nodes.values():  # a server that was killed finds them by itself, but in half a minute
                await client.agent.join(f"127.0.0.1:{node.serf_port}")
            return await running

    nodes = ["web-1", "web-2"]
    cluster = make_cluster(web=2, in_memory=False)

    assert asyncio.run(run_through_outage()) == exited(9, nodes=nodes)
    assert log.read() == "ran\n" * 2
    assert all("failed to write" in agent.log.read_text() for agent in cluster.nodes.values())
