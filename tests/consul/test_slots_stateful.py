"""Five nodes, a few slots and a real Consul: whatever dies, never more inside than slots, and no node starves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.claimant import TicketTimes
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.slot_line import SlotLine
from airflow_provider_chefconsul.consul.slots import free, read_queue
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from tests.consul.claimant import Player
from tests.support.examples import examples
from tests.support.factory import make_assignment, make_writer

NODES = [f"web-{number}" for number in range(1, 6)]
TIMES = TicketTimes(held=3, waiting=4)  # seconds: as short as a busy machine allows
LONGEST = 60  # seconds until all must have converged; a dead node's slot takes TIMES.waiting
LAG = 1.0  # seconds for which a node may still go by the limit before
WORK = 0.05  # seconds inside


@dataclass
class Tier:
    """The nodes, and what is true of them."""

    view: SharedView
    limit: int = 2
    wanted: Assignment = field(default_factory=lambda: make_assignment(pace=AssignmentPace(2)))
    limits: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 2)])
    inside: set[str] = field(default_factory=set)
    most: int = 0
    converged: dict[str, int] = field(default_factory=dict)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    starts: int = 0
    said: list[str] = field(default_factory=list)

    def start(self, node: str) -> None:
        """Run a node's client, as a process of its own: it knows nothing of the others."""
        if node not in self.running:
            self.starts += 1
            self.running[node] = asyncio.create_task(self._run(node, f"run-{self.starts}"))

    def kill(self, node: str) -> None:
        """The node is gone at once, and whatever it holds stays."""
        if task := self.running.pop(node, None):
            task.cancel()
            self.inside.discard(node)

    def set_limit(self, limit: int) -> None:
        """Lower or raise it: for the same assignment."""
        self.wanted = replace(self.wanted, pace=AssignmentPace(limit))
        self.limits.append((monotonic(), limit))

    def declare(self) -> None:
        """A new generation: whoever has converged runs again."""
        self.wanted = replace(self.wanted, generation=self.wanted.generation + 1)

    async def spoil(self, node: str) -> None:
        """Somebody writes nonsense under the node's key."""
        await self.view.client.kv.put(self.view.keys.slot("demo", "web", node), "?")

    async def free_left_behind(self) -> None:
        """A person frees what no live node holds and nobody can read."""
        for queued in await read_queue(self.view, "demo", "web"):
            if isinstance(queued.ticket, Unreadable) and queued.node not in self.running:
                await free(self.view, "demo", "web", queued.node, make_writer())

    async def _run(self, node: str, run_id: str) -> None:
        line = SlotLine(self.view, "demo", "web", times=TIMES, tell=self.said.append)
        while True:
            if self.converged.get(node) == self.wanted.generation:
                await asyncio.sleep(WORK)
                continue
            player = _Node(self, node, run_id)
            slot = await line.take(player)
            if slot is None:
                continue
            with self._counted(node):
                wanted = self.wanted
                try:
                    await asyncio.sleep(WORK)
                except asyncio.CancelledError:
                    slot.abandon()
                    raise
                self.converged[node] = wanted.generation
            await slot.give_back()

    @contextmanager
    def _counted(self, node: str) -> Iterator[None]:
        self.inside.add(node)
        self.most = max(self.most, len(self.inside))
        before = [limit for at, limit in self.limits if at < monotonic() - LAG][-1:]
        may_be = max(*before, *(limit for at, limit in self.limits if at >= monotonic() - LAG), 0)
        # Those who entered under a larger limit finish, but nobody joins them.
        assert len(self.inside) <= may_be, (self.inside, self.limits)
        yield
        self.inside.discard(node)


class _Node(Player):
    """What a node of the tier wants."""

    def __init__(self, tier: Tier, node: str, run_id: str) -> None:
        super().__init__(node, run_id=run_id)
        self._tier = tier

    def want(self) -> Assignment | None:
        """The tier's newest assignment, unless the node has converged on it."""
        return None if self._tier.converged.get(self.node) == self._tier.wanted.generation else self._tier.wanted


nodes = st.sampled_from(NODES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), nodes),
        st.tuples(st.just("start"), nodes),
        st.tuples(st.just("spoil"), nodes),
        st.tuples(st.just("limit"), st.integers(1, 4)),
        st.tuples(st.just("declare"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, WORK / 2, WORK, 4 * WORK])),
    ),
    min_size=20,
    max_size=200,
)


async def play(port: int, root: str, history: list[tuple[str, object]]) -> Tier:
    """Play a history, then leave the dead dead: the others must all get in."""
    async with ConsulClient(ConsulSettings("127.0.0.1", port, root=root)) as client:
        await client.kv.delete(f"{root}/", recurse=True)
        tier = Tier(SharedView(client))
        for node in NODES:
            tier.start(node)
        try:
            for act, what in history:
                match act, what:
                    case "kill", str():
                        tier.kill(what)
                    case "start", str():
                        tier.start(what)
                    case "spoil", str():
                        await tier.spoil(what)
                    case "limit", int():
                        tier.set_limit(what)
                    case "declare", _:
                        tier.declare()
                    case "wait", float():
                        await asyncio.sleep(what)
                _check(tier)
            tier.start(NODES[0])
            tier.declare()
            async with asyncio.timeout(LONGEST):
                while any(tier.converged.get(node) != tier.wanted.generation for node in tier.running):
                    await tier.free_left_behind()
                    await asyncio.sleep(WORK)
                    _check(tier)
        finally:
            for node in NODES:
                tier.kill(node)
    return tier


def _check(tier: Tier) -> None:
    """Raise what a node has raised."""
    for task in tier.running.values():
        if task.done():
            task.result()


@settings(max_examples=max(2, examples() // 12), suppress_health_check=list(HealthCheck))
@given(history=steps)
def test_never_more_inside_than_slots_and_nobody_starves(cluster, consul_root, history):
    """Kills, restarts, spoilt tickets, lowered and raised limits and new generations at random."""
    asyncio.run(play(cluster.http_port, consul_root, history))


def test_the_model_finds_a_line_that_nobody_keeps(cluster, consul_root, monkeypatch):
    """Were every node let in at once, the count inside would say so."""
    monkeypatch.setattr(
        "airflow_provider_chefconsul.domain.slots.QueuedTicket.is_held", property(lambda _: True)
    )  # whoever holds a ticket enters
    with pytest.raises(AssertionError, match="web-"):
        asyncio.run(play(cluster.http_port, consul_root, [("wait", 1.0)]))
