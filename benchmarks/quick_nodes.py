"""The demo's nodes on real agents, whose runs cost next to no CPU; `benchmarks.transitions` starts them.

Each agent's watch and each nudge run a shell script as `chef-client`. It hands the run to this process, which acts for
all nodes and obeys the contract: one run of a node at a time, and none that it does not need.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.simulator import reporting
from demo.nodes import ENVIRONMENT


class QuickClient:
    """What the nodes have as chef-client: it asks the process of :func:`serve` for a run and waits for its end.

    :param directory: where the pipes of the requests and the answers are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._requests = make_pipe(directory)

    def describe(self) -> str:
        """Describe it in one line."""
        return "chef-client: a run takes 0.2 s and no CPU"

    def install(self, home: Path, node: str, tier: str) -> str:  # noqa: ARG002 the interface of demo.nodes
        """Give the program's text."""
        answer = f"{shlex.quote(str(self._directory))}/$$"
        return (
            f"#!/bin/sh\nmkfifo {answer}\necho {node} {tier} $$ >{shlex.quote(str(self._requests))}\n"
            f"read -r code <{answer}\nrm {answer}\nexit $code\n"
        )

    def url(self, node: str) -> str | None:  # noqa: ARG002 the interface of demo.nodes
        """None: it serves nothing."""
        return None


def make_pipe(directory: Path) -> Path:
    """The named pipe by which programs ask for runs."""
    path = directory / "requests"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
    return path


def serve(pipe: Connection, port: int, directory: Path, seconds: float) -> None:
    """Run nodes until something comes through the pipe; says "ready" when it can.

    :param seconds: how long a run takes.
    """
    asyncio.run(_serve(pipe, port, directory, seconds))


async def _serve(pipe: Connection, port: int, directory: Path, seconds: float) -> None:
    async with ConsulClient(ConsulSettings("127.0.0.1", port)) as client, asyncio.TaskGroup() as runs:
        nodes = _Nodes(client, seconds)

        async def answer(node: str, tier: str, process: str) -> None:
            await nodes.run(node, tier)
            await asyncio.to_thread((directory / process).write_text, "0\n")

        async with _lines(make_pipe(directory)) as requests:
            pipe.send("ready")
            ending = asyncio.create_task(asyncio.to_thread(pipe.recv))
            ending.add_done_callback(lambda _: requests.put_nowait(""))
            while line := await requests.get():
                runs.create_task(answer(*line.split()))


class _Nodes:
    """All nodes, of which each runs once at a time."""

    def __init__(self, client: ConsulClient, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._keys = Keys()
        self._locks: dict[str, asyncio.Lock] = {}
        self._reports: dict[str, NodeReport] = {}

    async def run(self, node: str, tier: str) -> None:
        """A run, if the node has not converged on its assignment."""
        async with self._locks.setdefault(node, asyncio.Lock()):
            key = self._keys.desired(ENVIRONMENT, tier)
            entry = await self._client.get(key)
            if entry is None:
                return  # the agent's watch fires when it starts, before anything is declared
            assignment = DesiredState.from_json(key, entry.value).assignment_for(node)
            before = self._reports.get(node)
            if reporting.has_converged(before, assignment, None):
                return
            report = reporting.begin(reporting.new(node, tier), assignment, before=before, node_id=None)
            await self._report(report)
            await asyncio.sleep(self._seconds)
            self._reports[node] = reporting.end(report, Status.SUCCEEDED)
            await self._report(self._reports[node])

    async def _report(self, report: NodeReport) -> None:
        key = self._keys.report(ENVIRONMENT, report.tier, report.node)
        await self._client.transact([Operation.set_key(key, report.to_json())])


@asynccontextmanager
async def _lines(path: Path) -> AsyncIterator[asyncio.Queue[str]]:
    """The lines that come through a named pipe, which stays open while nobody writes."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in os.read(descriptor, 65536).decode().splitlines():  # a write of a short line is atomic
            lines.put_nowait(line)

    loop.add_reader(descriptor, read)
    try:
        yield lines
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
