"""Reading a tier's documents, each parsed only after it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument, NoDesiredState

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient
    from airflow_provider_chefconsul.consul.http.entry import Entry
    from airflow_provider_chefconsul.consul.keys import Keys

_AT_ONCE = 200  # entries parsed before other triggers on the event loop get a turn


@dataclass(frozen=True, slots=True)
class TierRecord:
    """A tier's desired state, its nodes' reports and tickets, and Consul's index of the read.

    :param tickets: by what follows ``_slots/``; renewals apart, those of the record before.
    :param sources: by key, the parsed entry. Comparing only its ModifyIndex would not do: after Consul has lost its
        data, the same index can return with another value.
    """

    desired: DesiredState | Unreadable | None
    evidence: Mapping[str, Evidence]
    index: int
    sources: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)
    tickets: Mapping[str, Ticket | Unreadable] = field(default_factory=dict)

    def ids_of(self, generations: Collection[int]) -> dict[int, str]:
        """By generation, the id of its current assignment; empty without a readable desired state."""
        assignments = self.desired.assignments if isinstance(self.desired, DesiredState) else ()
        return {each.generation: each.id for each in assignments if each.id and each.generation in generations}

    def required_desired(self, tier_path: str) -> DesiredState:
        """The desired state.

        :param tier_path: what to call the tier in an error.
        :raises NoDesiredState: the tier has none.
        :raises MalformedDocument: it cannot be read.
        """
        match self.desired:
            case DesiredState() as desired:
                return desired
            case Unreadable() as unreadable:
                raise unreadable.error()
            case None:
                raise NoDesiredState(f"{tier_path} has no desired state yet; a SetDesiredStateOperator writes one")


async def read_tier(
    client: ConsulClient,
    keys: Keys,
    environment: str,
    tier: str,
    entries: list[Entry],
    *,
    index: int = 0,
    last: TierRecord | None = None,
) -> TierRecord:
    """Parse a tier's entries; unchanged ones are taken from the last record.

    :param last: the record of the previous read.
    :returns: the last record itself when nothing has changed.
    :raises AccessDenied: the token may not read the tier, which must not pass for an empty one.
    """
    desired_key, reports = keys.desired(environment, tier), keys.reports(environment, tier)
    slots = keys.slots(environment, tier)
    sources = {entry.key: entry for entry in entries}
    if desired_key not in sources and (entry := await client.get(desired_key)) is not None:
        sources[desired_key] = entry  # a list hides what the token may not read; a single key raises
    known: Mapping[str, Entry] = last.sources if last else {}
    desired = last.desired if last and desired_key in sources else None
    evidence = dict(last.evidence) if last else {}
    tickets: dict[str, Ticket | Unreadable] = dict(last.tickets) if last else {}
    gone = known.keys() - sources.keys()
    for key in gone:
        evidence.pop(key.removeprefix(reports), None)
        tickets.pop(key.removeprefix(slots), None)
    is_changed = not all(key.startswith(slots) for key in gone)
    changed = [entry for key, entry in sources.items() if known.get(key) != entry]
    for count, entry in enumerate(changed, start=1):
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
        node = entry.key.removeprefix(reports)
        if entry.key == desired_key:
            desired, is_changed = read_desired(entry), True
        elif entry.key.startswith(reports) and is_name(node):
            evidence[node], is_changed = _parse_evidence(tier, node, entry), True
        elif entry.key.startswith(slots) and is_name(entry.key.removeprefix(slots)):
            _note_ticket(tickets, entry.key.removeprefix(slots), entry)
        else:
            del sources[entry.key]
    if last is None:
        return TierRecord(desired, evidence, index, sources, tickets)
    if not is_changed and tickets == last.tickets:  # at most renewed, which a later read finds again
        return last
    return TierRecord(
        desired,
        evidence if is_changed else last.evidence,
        index,
        sources,
        last.tickets if tickets == last.tickets else tickets,
    )


def read_desired(entry: Entry) -> DesiredState | Unreadable:
    """Parse a desired state, or say why it cannot be read."""
    try:
        return DesiredState.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Unreadable.of(error)


def read_ticket(key: str, value: bytes) -> Ticket | Unreadable:
    """Parse a ticket, or say why it cannot be read."""
    try:
        return Ticket.from_json(key, value)
    except MalformedDocument as error:
        return Unreadable.of(error)


def _note_ticket(tickets: dict[str, Ticket | Unreadable], node: str, entry: Entry) -> None:
    """Note a ticket that was written, unless it was only renewed, which is no news."""
    new, known = read_ticket(entry.key, entry.value), tickets.get(node)
    if not (isinstance(new, Ticket) and isinstance(known, Ticket) and new.is_renewal_of(known)):
        tickets[node] = new


def _parse_evidence(tier: str, node: str, entry: Entry) -> Evidence:
    try:
        report = NodeReport.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Evidence(Unreadable.of(error), entry.modify_index)
    if (report.tier, report.node) != (tier, node):
        problem = f"is a report of node {report.node} for tier {report.tier}, which does not belong under this key"
        return Evidence(Unreadable(entry.key, problem), entry.modify_index)
    return Evidence(report, entry.modify_index)
