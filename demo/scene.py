"""Tiers to look at: nodes without agents in Consul's catalog, and what they would report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.pacing import Pacing
from airflow_provider_chefconsul.domain.write.wave import Wave

_BATCH = 64  # operations in a transaction
_AT_ONCE = 32
WRITER = Writer("shop_rollout", "scheduled__2026-11-22T08:00:00+00:00", "web_converged.set")


@dataclass(frozen=True)
class Scene:
    """One environment, played by hand.

    :param writer: the writer that the desired states name.
    """

    view: SharedView
    environment: str
    writer: Writer = WRITER

    async def add_nodes(self, tier: str, nodes: Iterable[str], *, absent: Sequence[str] = ()) -> None:
        """Register nodes with a service named like their tier.

        Consul deregisters an absent one within a minute, since there is no agent.
        """
        await _some_at_once([self._register(tier, node, is_absent=node in absent) for node in nodes])

    async def declare(
        self,
        tier: str,
        state: str,
        canary: Wave | None = None,
        wave: tuple[int, int] | None = None,
        pacing: Pacing | None = None,
        **values: str,
    ) -> int:
        """Write a desired state, and return its generation."""
        change = Change(state, self.writer, values, canary=canary, wave=wave, pacing=pacing or Pacing())
        return (await write(self.view, self.environment, {tier: change})).generations[tier]

    async def report(self, tier: str, *nodes: str, took: timedelta = timedelta(seconds=8), **overrides: Any) -> None:
        """Let nodes report what they are assigned, as succeeded unless told otherwise.

        :param overrides: fields of the reports.
        """
        record = await self.view.read(self.environment, tier)
        desired = record.required_desired(tier)
        now = datetime.now(UTC)
        reports = [_report(tier, node, desired, (now - took, now), overrides) for node in nodes]
        keyed = [(self.view.keys.report(self.environment, tier, each.node), each.to_json()) for each in reports]
        for start in range(0, len(keyed), _BATCH):
            operations = [Operation.set_key(key, document) for key, document in keyed[start : start + _BATCH]]
            await self.view.client.transact(operations)

    async def queue(self, tier: str, *nodes: str, held_for: timedelta | None = None, **overrides: Any) -> None:
        """Let nodes wait for slots, or hold them.

        :param overrides: fields of the tickets.
        """
        desired = (await self.view.read(self.environment, tier)).required_desired(tier)
        since = _moment(datetime.now(UTC) - (held_for or timedelta()))
        for node in nodes:
            assignment = desired.assignment_for(node)
            ticket = Ticket(
                node=node,
                node_id=None,
                run_id=f"{assignment.generation}-{node}",
                generation=assignment.generation,
                id=assignment.id,
                group="",
                since=since,
                held_since=None if held_for is None else since,
                ttl=600 if held_for is None else 120,
            )
            key = self.view.keys.slot(self.environment, tier, node)
            await self.view.client.transact([Operation.set_key(key, replace(ticket, **overrides).to_json())])

    async def give_back(self, tier: str, *nodes: str) -> None:
        """Let nodes give their slots back."""
        keys = [self.view.keys.slot(self.environment, tier, node) for node in nodes]
        await self.view.client.transact([Operation.delete(key) for key in keys])

    async def fail(self, tier: str, *nodes: str, error: RunError, **overrides: Any) -> None:
        """Let nodes report that their run failed."""
        await self.report(tier, *nodes, status=Status.FAILED, error=error, **overrides)

    async def judge(
        self, tier: str, act: JournalAct = JournalAct.CONVERGED, wave: JournalWave | None = None, reason: str = ""
    ) -> None:
        """Let a wait tell the journal what it found."""
        desired = (await self.view.read(self.environment, tier)).required_desired(tier)
        entry = JournalEntry(now_written(), self.writer, act, {tier: desired.newest}, wave, reason)
        await append(self.view, self.environment, entry)

    async def answer(self, tier: str, act: JournalAct, wave: JournalWave, reason: str) -> None:
        """Let a person, or a gate, tell the journal what is to become of a wave."""
        entry = JournalEntry(now_written(), self.writer, act, wave=wave, reason=reason, scope=(tier,))
        await append(self.view, self.environment, entry)

    async def _register(self, tier: str, node: str, *, is_absent: bool) -> None:
        check = {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "critical"} if is_absent else None
        await self.view.client.catalog.register(node, "127.0.0.1", service={"Service": tier}, check=check)


def _report(
    tier: str, node: str, desired: DesiredState, times: tuple[datetime, datetime], overrides: dict[str, Any]
) -> NodeReport:
    assignment = desired.assignment_for(node)
    started, finished = times
    report = NodeReport(
        node=node,
        tier=tier,
        generation=assignment.generation,
        state=assignment.state,
        status=Status.SUCCEEDED,
        run_id=f"{assignment.generation}-{node}",
        started_at=_moment(started),
        finished_at=_moment(finished),
        updated_resources=4,
        client="chef 18.5.0",
    )
    return replace(report, **overrides)


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _some_at_once(work: Sequence[Awaitable[None]]) -> None:
    for start in range(0, len(work), _AT_ONCE):
        await asyncio.gather(*work[start : start + _AT_ONCE])
