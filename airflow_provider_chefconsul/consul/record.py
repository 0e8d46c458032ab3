"""What the shared data view holds of a tier, parsed once however often it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument, NoDesiredState

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient, Entry
    from airflow_provider_chefconsul.consul.keys import Keys

_AT_ONCE = 1000  # entries; then the event loop may turn to the triggerer's other triggers


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What the view holds of a tier: its desired state, each node's report, and Consul's index of the read.

    :param sources: by key, the entry that was parsed. A ModifyIndex alone does not tell whether one is the same: after
        Consul has lost its data, it comes again with another value.
    """

    desired: DesiredState | Unreadable | None
    evidence: Mapping[str, Evidence]
    index: int
    sources: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)

    def ids_of(self, generations: Collection[int]) -> dict[int, str]:
        """By generation, the ids of the assignments that have these now; none where there is none that can be read."""
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
    """A tier, of which these entries were read; what is the same as in the last record is taken from there.

    :param last: what was read of it before.
    :returns: the last record itself, when nothing has changed.
    :raises AccessDenied: the token may not read it; never taken for an empty tier.
    """
    desired_key, reports = keys.desired(environment, tier), keys.reports(environment, tier)
    if not any(entry.key == desired_key for entry in entries):
        # A list leaves out what the token may not read; a single key says so.
        entry = await client.get(desired_key)
        entries = [*entries, entry] if entry else entries
    known: Mapping[str, Entry] = last.sources if last else {}
    desired: DesiredState | Unreadable | None = None
    evidence: dict[str, Evidence] = {}
    sources: dict[str, Entry] = {}
    is_changed = last is None
    for count, entry in enumerate(entries, start=1):
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
        is_known = last is not None and known.get(entry.key) == entry
        node = entry.key.removeprefix(reports)
        if entry.key == desired_key:
            desired = last.desired if last and is_known else read_desired(entry)
        elif entry.key.startswith(reports) and is_name(node):
            evidence[node] = last.evidence[node] if last and is_known else _parse_evidence(tier, node, entry)
        else:
            continue
        is_changed = is_changed or not is_known
        sources[entry.key] = entry
    if last is not None and not is_changed and len(sources) == len(known):
        return last
    return TierRecord(desired, evidence, index, sources)


def read_desired(entry: Entry) -> DesiredState | Unreadable:
    """A desired state, or what is wrong with it."""
    try:
        return DesiredState.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Unreadable.of(error)


def _parse_evidence(tier: str, node: str, entry: Entry) -> Evidence:
    try:
        report = NodeReport.from_json(entry.key, entry.value)
    except MalformedDocument as error:
        return Evidence(Unreadable.of(error), entry.modify_index)
    if (report.tier, report.node) != (tier, node):
        problem = f"is a report of node {report.node} for tier {report.tier}, which does not belong under this key"
        return Evidence(Unreadable(entry.key, problem), entry.modify_index)
    return Evidence(report, entry.modify_index)
