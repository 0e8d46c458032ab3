"""What the demo does and shows: an upgrade through a Dag, a node that was down, a node that is added."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from airflow_provider_chefconsul.cli.display.table import nodes_table
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable
from demo.cluster import ConsulCluster
from demo.nodes import ENVIRONMENT, TIERS, NodeClient, add_node
from demo.standalone import AirflowStandalone

DAG_ID = "phase2_declarative_rollout"
OLD_RELEASE, NEW_RELEASE = "2.4.0", "2.5.0"
_PATIENCE = 600.0  # seconds for each step, a few on an idle machine
_PAUSE = 1.0


@dataclass
class Walkthrough:
    """The demo, step by step.

    :param console: gets the table and the events.
    :param nodes: the directory of the nodes' files.
    :param client: what runs on the nodes as chef-client.
    """

    cluster: ConsulCluster
    airflow: AirflowStandalone
    console: Console
    nodes: Path
    client: NodeClient
    snapshots: dict[str, TierSnapshot] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    async def run(self) -> bool:
        """Take all steps; whether the Dag run succeeded and every node ended converged."""
        settings = ConsulSettings("127.0.0.1", self.cluster.http_port)
        async with ConsulClient(settings) as client, self._watching(SharedView(client)):
            await self._declare_old_release(SharedView(client))
            await self._take_down("web-2")
            run_id = await self._trigger()
            state = await self._follow(run_id)
            await self._bring_back("web-2")
            expected = {node for tier in TIERS.values() for node in tier} | {"web-4"}
            ended_well = await self._until(lambda: self._converged() == expected)
            missing = expected - self._converged()
        self._sum_up(run_id, state, sorted(missing))
        has_answered = await self._ask(sorted({*TIERS["web"], "web-4"}))
        return state == "success" and ended_well and has_answered

    async def _declare_old_release(self, view: SharedView) -> None:
        writer = Writer("demo", "before", "yesterday")
        change = Change("converged", writer, {"release": OLD_RELEASE})
        await self._patiently(
            lambda: write(view, ENVIRONMENT, dict.fromkeys(TIERS, change))
        )  # writing it twice changes nothing
        self.say(f"environment {ENVIRONMENT}: all tiers at release {OLD_RELEASE}")
        await self._until(lambda: len(self._converged()) == sum(map(len, TIERS.values())))

    async def _take_down(self, node: str) -> None:
        self.cluster.kill_node(node)
        self.say(f"{node} goes down, before the rollout")
        await self._until(lambda: node not in self._present("web"))

    async def _bring_back(self, node: str) -> None:
        await asyncio.to_thread(self.cluster.restart_node, node)
        self.say(f"{node} comes back; nobody tells it anything, its agent's watch runs its client")
        await self._until(lambda: node in self._converged())
        self.say(f"{node} caught up: {self._describe('web')}")

    async def _trigger(self) -> str:
        self.say("waiting for Airflow")
        await asyncio.to_thread(self.airflow.wait_until_ready, DAG_ID)
        consul = {"conn_type": "consul", "host": "127.0.0.1", "port": self.cluster.http_port, "schema": "http"}
        await asyncio.to_thread(self.airflow.add_connection, "consul_default", **consul)
        run_id = await asyncio.to_thread(self.airflow.trigger, DAG_ID, {"release": NEW_RELEASE})
        self.say(f"Airflow is at {self.airflow.url}, user admin, password {self.airflow.password}")
        self.say(f"triggered Dag {DAG_ID}, run {run_id}")
        return run_id

    async def _follow(self, run_id: str) -> str:
        """Follow the Dag run to its end, and add a node when the database has been upgraded."""
        adding: asyncio.Task[None] | None = None
        while True:
            states = await asyncio.to_thread(self.airflow.task_states, DAG_ID, run_id)
            for task, state in states.items():
                if state != self.tasks.get(task) and task.endswith(".wait") and state in {"success", "failed"}:
                    tier = task.partition("_")[0]
                    self.say(f"{task} {state}: {tier} at {self._describe(tier)}")
            self.tasks = states
            if adding is None and states.get("db_converged.wait") == "success":
                adding = asyncio.create_task(self._add("web-4"))
            run_state = await asyncio.to_thread(self.airflow.run_state, DAG_ID, run_id)
            if run_state not in {"queued", "running"}:
                self.say(f"Dag run: {run_state}")
                if adding is not None:
                    await adding
                return run_state
            await asyncio.sleep(0.5)

    async def _add(self, node: str) -> None:
        self.say(f"{node} is added in the middle; nobody tells it anything")
        await asyncio.to_thread(add_node, self.cluster, self.nodes, node, "web", self.client)
        await self._until(lambda: node in self._converged())
        self.say(f"{node} joined and converged: {self._describe('web')}")

    async def _ask(self, nodes: list[str]) -> bool:
        """Ask nodes that really serve something for it; whether all serve the new release."""
        served = {}
        async with httpx.AsyncClient(trust_env=False) as http:
            for node in nodes:
                if url := self.client.url(node):
                    try:
                        served[node] = (await http.get(url)).text.strip()
                    except httpx.HTTPError as error:
                        served[node] = f"no answer: {error}"
                    self.console.print(Text(f"{node}: curl {url}: {served[node]}"), soft_wrap=True)
        return all(answer.endswith(f"release {NEW_RELEASE}") for answer in served.values())

    def _describe(self, tier: str) -> str:
        desired = self.snapshots[tier].desired
        assert isinstance(desired, DesiredState)
        release = desired.stable.values.get("release", "?")
        return f"generation {desired.generation}, state {desired.stable.state}, release {release}"

    def _sum_up(self, run_id: str, state: str, missing: list[str]) -> None:
        self.console.print(self._table("At the end"))
        took = timedelta(seconds=round(time.monotonic() - self.started))
        self.console.print(f"Dag run {run_id}: {state}; {len(self._converged())} nodes converged, ", end="")
        self.console.print(f"not: {', '.join(missing)}" if missing else "none missing", end="")
        self.console.print(f"; {took} altogether.")

    def say(self, event: str) -> None:
        """Print an event with the time since the start."""
        self.console.print(Text(f"{time.monotonic() - self.started:6.1f} s  {event}"), soft_wrap=True)

    async def _until(self, is_met: Callable[[], bool]) -> bool:
        """Wait for a condition on the snapshots; False when it does not come."""
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            if len(self.snapshots) == len(TIERS) and is_met():
                return True
            await asyncio.sleep(0.1)
        self.say(f"… gave up waiting after {_PATIENCE:.0f} s")
        return False

    @asynccontextmanager
    async def _watching(self, view: SharedView) -> AsyncGenerator[None]:
        """Keep the snapshots up to date and, on a terminal, show them."""
        watches = [asyncio.create_task(self._watch(view, tier)) for tier in TIERS]
        try:
            if not self.console.is_terminal:
                yield
                return
            with Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True):
                yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, view: SharedView, tier: str) -> None:
        """Keep a tier's snapshot up to date, also when Consul is away for a while."""
        while True:
            try:
                async with aclosing(view.watch(ENVIRONMENT, tier, ServiceMembers(tier))) as watch:
                    async for snapshot in watch:
                        self.snapshots[tier] = snapshot
            except ConsulError as error:
                self.say(f"… watching tier {tier} again: {error}")
                await asyncio.sleep(_PAUSE)

    async def _patiently(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Repeat what may be done twice until Consul has done it."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                await ask()
            except ConsulUnavailable as error:
                if time.monotonic() > give_up:
                    raise
                self.say(f"… asking again: {error}")
                await asyncio.sleep(_PAUSE)
            else:
                return

    def _nodes(self) -> dict[str, list[NodeStatus]]:
        found = {tier: self.snapshots[tier] for tier in TIERS if tier in self.snapshots}
        return {tier: list(tier_status(snapshot).nodes.values()) for tier, snapshot in found.items()}

    def _present(self, tier: str) -> set[str]:
        return {node for node, member in self.snapshots[tier].members.items() if member.is_present}

    def _converged(self) -> set[str]:
        """The nodes that are present and have reported their assignment as succeeded."""
        return {node.member.node for nodes in self._nodes().values() for node in nodes if node.has_converged}

    def _table(self, title: str) -> Table:
        return nodes_table(self._nodes(), now=datetime.now(UTC), width=self.console.width, title=title)

    def _render(self) -> Group:
        now = datetime.now(UTC).strftime("%H:%M:%S")
        doing = next((task for task, state in self.tasks.items() if state not in {"success", ""}), "")
        return Group(self._table(f"Environment {ENVIRONMENT}, {now} UTC"), Text(f"Dag task: {doing}"))
