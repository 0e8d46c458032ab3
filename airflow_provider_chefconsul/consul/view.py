"""The shared data view: read a tier, watch it, and write desired states with a check and a history entry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import await_member_change, read_members
from airflow_provider_chefconsul.consul.commit import Commit
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.plan import Plan
from airflow_provider_chefconsul.consul.planner import ChangePlanner, RollBackPlanner
from airflow_provider_chefconsul.consul.together import together
from airflow_provider_chefconsul.exceptions import MalformedDocument, NoDesiredState, NoMembers
from airflow_provider_chefconsul.rollout.change import Change, Unchanged, Write
from airflow_provider_chefconsul.rollout.convergence import TierSnapshot
from airflow_provider_chefconsul.rollout.desired import DesiredState
from airflow_provider_chefconsul.rollout.membership import Members, Selector
from airflow_provider_chefconsul.rollout.name import is_name
from airflow_provider_chefconsul.rollout.number import read_number
from airflow_provider_chefconsul.rollout.report import NodeReport
from airflow_provider_chefconsul.rollout.rollback import RollBack
from airflow_provider_chefconsul.rollout.standing import Evidence

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.client import ConsulClient, Entry

# Reading 10,000 reports takes a quarter of a second of a core. Resting in proportion before the next read bounds that
# share while reports pour in, and leaves a small tier's reads immediate.
_REST_PER_REPORT = 25e-6  # seconds
_PARSED_AT_ONCE = 1000  # then the event loop may turn to the triggerer's other triggers
_REST_OF_LIST = 0.1  # seconds
_LONGEST_REST = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What the view holds of a tier: its desired state, each node's report, and Consul's index of the read."""

    desired: DesiredState | MalformedDocument | None
    evidence: Mapping[str, Evidence]
    index: int

    def required_desired(self, where: str) -> DesiredState:
        """The desired state.

        :param where: what to call the tier in an error.
        :raises NoDesiredState: the tier has none.
        :raises MalformedDocument: it cannot be read.
        """
        match self.desired:
            case DesiredState() as desired:
                return desired
            case MalformedDocument() as error:
                raise error
            case None:
                raise NoDesiredState(f"{where} has no desired state yet; a SetDesiredStateOperator writes one")


class SharedView:
    """The shared data view of one Consul.

    :param client: an open client; its settings name the root prefix.
    :param patience: how long a write is tried again while Consul is unavailable.
    """

    def __init__(self, client: ConsulClient, *, patience: timedelta = timedelta(seconds=60)) -> None:
        self.client = client
        self.keys = Keys(client.settings.root)
        self._patience = patience

    async def read(self, environment: str, tier: str) -> TierRecord:
        """What the view holds of a tier now.

        :raises AccessDenied: the token may not read it; never taken for an empty tier.
        """
        return await self._read(environment, tier, None)

    async def snapshot(self, environment: str, tier: str, selector: Selector) -> TierSnapshot:
        """A tier with its members as it is now."""
        reading = asyncio.create_task(self.read(environment, tier))
        listing = asyncio.create_task(read_members(self.client, selector))
        await together(reading, listing)
        record, members = reading.result(), listing.result()
        await self._check_can_read_reports(environment, tier, record, members)
        return TierSnapshot(record.desired, members, record.evidence)

    async def require_members(self, where: str, selector: Selector) -> Members:
        """The members that a selector means today.

        :param where: what to call the tier in an error.
        :raises NoMembers: there are none.
        """
        members = await read_members(self.client, selector)
        if not members:
            raise NoMembers(f"{where} has no members: Consul lists no node for {selector}")
        return members

    async def watch(self, environment: str, tier: str, selector: Selector) -> AsyncGenerator[TierSnapshot]:
        """The tier as it is now, and again after each change; two connections, however many nodes.

        Close the generator (``contextlib.aclosing``) to end its queries.

        :raises ConsulUnavailable: Consul stayed away for longer than the client's patience.
        """
        record: TierRecord | None = None
        members: Members | None = None
        reading = asyncio.create_task(self._read(environment, tier, None))
        listing = asyncio.create_task(self._list(selector, None))
        try:
            while True:
                done, _ = await asyncio.wait({reading, listing}, return_when=asyncio.FIRST_COMPLETED)
                if reading in done:
                    record = reading.result()
                    reading = asyncio.create_task(self._read(environment, tier, record))
                if listing in done:
                    listed = listing.result()
                    members = listed[1]
                    listing = asyncio.create_task(self._list(selector, listed))
                if record is not None and members is not None:
                    await self._check_can_read_reports(environment, tier, record, members)
                    yield TierSnapshot(record.desired, members, record.evidence)
        finally:
            reading.cancel()
            listing.cancel()
            await asyncio.gather(reading, listing, return_exceptions=True)

    async def write(
        self, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
    ) -> dict[str, Write | Unchanged]:
        """Write the desired states of one or several tiers in one transaction; see :class:`Commit`.

        :param changes: by tier.
        :param selectors: by tier, who belongs to it, for changes with a canary; the service named like it by default.
        :returns: by tier, what was done, with the generation that the change has; somebody may have written since.
        """
        return (await self.write_as_planned(environment, changes, selectors)).decisions

    async def write_as_planned(
        self, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
    ) -> Plan:
        """Write as :meth:`write` does.

        :returns: also what stood before.
        """
        return await Commit(self, environment, ChangePlanner(self, changes, selectors or {})).run(self._patience)

    async def plan(
        self, environment: str, changes: Mapping[str, Change], selectors: Mapping[str, Selector] | None = None
    ) -> Plan:
        """What :meth:`write` would do now; nothing is written."""
        return await Commit(self, environment, ChangePlanner(self, changes, selectors or {})).plan()

    async def roll_back(
        self, environment: str, tiers: Iterable[str], rollback: RollBack
    ) -> dict[str, Write | Unchanged]:
        """Roll one or several tiers back in one transaction; see :class:`Commit`.

        :returns: by tier, what was done, with the generation that its nodes go back to.
        """
        planner = RollBackPlanner(self, environment, rollback, tiers)
        return (await Commit(self, environment, planner).run(self._patience)).decisions

    async def history(self, environment: str, tier: str) -> dict[int, DesiredState]:
        """By generation, oldest first, the desired states as they were first written; unreadable ones are left out."""
        _, entries = await self.client.tree(self.keys.histories(environment, tier))
        found = {}
        for entry in entries:
            number = read_number(entry.key.rpartition("/")[2])
            desired = _read_desired(entry)
            if number is not None and isinstance(desired, DesiredState):
                found[number] = desired
        return dict(sorted(found.items()))

    async def _read(self, environment: str, tier: str, last: TierRecord | None) -> TierRecord:
        """Read the tier; after a last read, block until it has changed, and parse only what is new."""
        known: Mapping[str, Evidence] = last.evidence if last else {}
        if last:
            await asyncio.sleep(min(_LONGEST_REST, len(known) * _REST_PER_REPORT))
        index, entries = await self.client.tree(self.keys.tier(environment, tier), index=last.index if last else 0)
        reports = self.keys.reports(environment, tier)
        evidence = {}
        desired: Entry | None = None
        for count, entry in enumerate(entries, start=1):
            if count % _PARSED_AT_ONCE == 0:
                await asyncio.sleep(0)
            node = entry.key.removeprefix(reports)
            if entry.key == self.keys.desired(environment, tier):
                desired = entry
            elif entry.key.startswith(reports) and is_name(node):
                before = known.get(node)
                is_known = before is not None and before.modify_index == entry.modify_index
                evidence[node] = before if before and is_known else _read_evidence(tier, node, entry)
        if desired is None:  # a list leaves out what the token may not read; a single key says so
            desired = await self.client.get(self.keys.desired(environment, tier))
        return TierRecord(_read_desired(desired), evidence, index)

    async def _list(self, selector: Selector, last: tuple[int, Members] | None) -> tuple[int, Members]:
        """List the members; after a last list, block until it may have changed.

        What wakes the query may be any check of the datacenter, so a moment passes before it is asked again.
        """
        if last:
            await asyncio.sleep(min(_LONGEST_REST, _REST_OF_LIST + len(last[1]) * _REST_PER_REPORT))
        index = await await_member_change(self.client, selector, last[0] if last else 0)
        return index, await read_members(self.client, selector)

    async def _check_can_read_reports(self, environment: str, tier: str, record: TierRecord, members: Members) -> None:
        """A list leaves out what the token may not read: before nobody has reported, ask for one report by name."""
        if not record.evidence and members:
            await self.client.get(self.keys.report(environment, tier, next(iter(members))))


def _read_desired(entry: Entry | None) -> DesiredState | MalformedDocument | None:
    try:
        return DesiredState.from_json(entry.key, entry.value) if entry else None
    except MalformedDocument as error:
        return error


def _read_evidence(tier: str, node: str, entry: Entry) -> Evidence:
    try:
        report = NodeReport.from_json(entry.key, entry.value)
        if (report.tier, report.node) != (tier, node):
            problem = f"is a report of node {report.node} for tier {report.tier}, which does not belong under this key"
            return Evidence(MalformedDocument(entry.key, problem), entry.modify_index)
    except MalformedDocument as error:
        return Evidence(error, entry.modify_index)
    return Evidence(report, entry.modify_index)
