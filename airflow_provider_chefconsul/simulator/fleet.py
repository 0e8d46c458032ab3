"""A fleet of simulated nodes in one event loop, against a real Consul."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_chefconsul.consul.held_slot import HeldSlot
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.record import TierRecord
from airflow_provider_chefconsul.consul.slot_line import SlotLine
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, MalformedDocument
from airflow_provider_chefconsul.simulator.claim import Claim
from airflow_provider_chefconsul.simulator.fault import OF_PRESENCE, Kind
from airflow_provider_chefconsul.simulator.node import SimulatedNode
from airflow_provider_chefconsul.simulator.outbox import Outbox
from airflow_provider_chefconsul.simulator.plan import FleetPlan
from airflow_provider_chefconsul.simulator.progress import Progress
from airflow_provider_chefconsul.simulator.registration import FleetRegistration
from airflow_provider_chefconsul.simulator.surroundings import NodeRun

log = logging.getLogger(__name__)
_BACKOFF = 1.0  # seconds between two watches when Consul is away
# One watch for a tier, whatever its size: it reaches all nodes within a millisecond. A watch for each was tried: Consul
# counts an abandoned one among the 200 connections of an address until its wait ends, so the second fleet of 100 nodes
# within a minute was reset. For the same reason a watch waits no longer than this.
_WATCH = timedelta(seconds=10)


class Fleet:
    """The nodes of a plan; they live as long as :meth:`run`.

    :param client: an open client.
    :param tell: called with each line about what happens.
    :param on_run: called with each run that begins, and again when it ends.
    """

    def __init__(
        self,
        client: ConsulClient,
        environment: str,
        plan: FleetPlan,
        *,
        tell: Callable[[str], None] = log.info,
        on_run: Callable[[NodeRun], None] | None = None,
    ) -> None:
        self.environment = check_name("environment", environment)
        self.plan = plan
        self.is_ready = asyncio.Event()
        self.is_over = asyncio.Event()
        self.known = {node for node, each in plan.nodes.items() if each.is_there_at_start}
        """The nodes that are members or have been."""
        self._on_run = on_run
        self._client = client
        self._keys = Keys(client.settings.root)
        self._outbox = Outbox(client)
        self._roster = FleetRegistration(
            client,
            environment,
            {node: each.tier for node, each in plan.nodes.items()},
            {node: each.node_id for node, each in plan.nodes.items()},
        )
        self._progress = Progress(environment, tell)
        self._lines: dict[str, SlotLine] = {}

    async def run(self) -> None:
        """Register the nodes, let them live until cancelled, and take them out of the catalog again.

        :raises NameTaken: there are members that are not the fleet's own.
        :raises ConsulError: Consul refused; while it is only away, the fleet waits for it.
        """
        try:
            await self._roster.claim()
            try:
                await self._roster.register(plan.node for plan in self.plan.nodes.values() if plan.is_there_at_start)
                self._progress.introduce(self.plan, self._client.settings.url)
                await self._live()
            finally:
                await self._roster.leave()
        finally:
            self.is_over.set()

    async def take_slot(self, claim: Claim) -> HeldSlot | None:
        """Wait for a slot of a node's tier."""
        if claim.tier not in self._lines:
            view = SharedView(self._client)
            self._lines[claim.tier] = SlotLine(view, self.environment, claim.tier, tell=self._progress.tell)
        return await self._lines[claim.tier].take(claim)

    async def settle(self) -> None:
        """Wait until all reports so far are written."""
        await self._outbox.settle()

    def report(self, node: str, text: str) -> None:
        """Write a node's report."""
        self._outbox.put(self._keys.report(self.environment, self.plan.nodes[node].tier, node), text)

    def appear(self, node: str, *, is_new: bool) -> None:
        """Make a node a member that is present."""
        self.known.add(node)
        if is_new:
            self._outbox.add(*self._roster.joining(node))
        else:
            self._outbox.add(self._roster.presence(node, is_present=True))
        self._progress.tell(f"{node} {'joins' if is_new else 'returns'}")

    def vanish(self, node: str) -> None:
        """Make a node absent."""
        self._outbox.add(self._roster.presence(node, is_present=False))
        self._progress.tell(f"{node} goes absent")

    def leave(self, node: str) -> None:
        """Take a node out of the catalog."""
        self._outbox.add(self._roster.leaving(node))
        self._progress.tell(f"{node} leaves")

    def note(self, run: NodeRun) -> None:
        """Record that a run begins or ends."""
        self._progress.note(run)
        if self._on_run is not None:
            self._on_run(run)

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for tier in self.plan.tiers:
                    nodes = await self._build(tier, tasks.create_task)
                    tasks.create_task(self._watch(tier, nodes))
                    for node in nodes:
                        for fault in _timed_faults(node):
                            tasks.create_task(fault)
                tasks.create_task(self._outbox.run())
                self.is_ready.set()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _build(self, tier: str, start: Callable[..., asyncio.Task[None]]) -> list[SimulatedNode]:
        """The nodes of a tier, each with its last report."""
        record: TierRecord = await SharedView(self._client).read(self.environment, tier)
        nodes = []
        for plan in self.plan.tiers[tier]:
            evidence = record.evidence.get(plan.node)
            report = evidence.report if evidence else None
            nodes.append(SimulatedNode(plan, self, start, report if isinstance(report, NodeReport) else None))
        return nodes

    async def _watch(self, tier: str, nodes: Sequence[SimulatedNode]) -> None:
        """Show nodes the tier's desired state, as it is now and after each change."""
        loop = asyncio.get_running_loop()
        key = self._keys.desired(self.environment, tier)
        index = 0
        seen: bytes | None = None
        while True:
            try:
                index, entry = await self._client.look(key, index=index, wait=_WATCH)
            except ConsulUnavailable as error:
                self._progress.tell(str(error))
                await asyncio.sleep(_BACKOFF)
                index = 0
                continue
            value = entry.value if entry is not None else None
            if value == seen:
                continue
            seen = value
            desired: DesiredState | Unreadable | None
            try:
                desired = None if value is None else DesiredState.from_json(key, value)
            except MalformedDocument as error:
                desired = Unreadable.of(error)
            self._progress.desire(tier, desired)
            at = loop.time()
            for node in nodes:
                node.see(desired, at)
            if tier in self._lines:
                self._lines[tier].look_again()


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncGenerator[Fleet]:
    """Run the fleet for as long as the context lasts, entered when it is ready; raises its error."""
    life = asyncio.create_task(fleet.run())
    ready = asyncio.create_task(fleet.is_ready.wait())
    try:
        await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not life.done():
            yield fleet
    finally:
        ready.cancel()
        life.cancel()
        await asyncio.wait({life})
        if not life.cancelled():
            life.result()


def _timed_faults(node: SimulatedNode) -> list[Coroutine[Any, Any, None]]:
    """What happens to a node at its time, or over and over."""
    timed = [
        _undergo_at(node, fault.kind, fault.at)
        for fault in node.plan.faults
        if fault.kind in OF_PRESENCE and fault.at is not None
    ]
    return timed + [_flap(node, fault.seconds) for fault in node.plan.faults_of(Kind.FLAPS)]


async def _undergo_at(node: SimulatedNode, kind: Kind, seconds: float) -> None:
    await asyncio.sleep(seconds)
    node.undergo(kind)


async def _flap(node: SimulatedNode, seconds: float) -> None:
    while True:
        for kind in (Kind.ABSENT, Kind.RETURNS):
            await asyncio.sleep(seconds)
            node.undergo(kind)
