"""The shared data view: reading and watching tiers. Writing is in ``write.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import (
    Nodes,
    members_of,
    read_health,
    read_members,
    read_named,
    read_nodes,
    strays_of,
)
from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.plan import HISTORY_KEPT
from airflow_provider_chefconsul.consul.record import TierRecord, read_desired, read_tier
from airflow_provider_chefconsul.consul.watching.members import MembersSubscription, subscribed_to_members
from airflow_provider_chefconsul.consul.watching.topic import Subscription, Viewer
from airflow_provider_chefconsul.consul.watching.view_watch import subscribed_to_tier
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members, Selector, ServiceMembers
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.exceptions import NoMembers

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient


class SharedView:
    """The shared data view of one Consul.

    :param client: an open client; its settings name the root prefix.
    :param patience: how long a write is retried while Consul is unavailable.
    :param history_kept: how many generations of each tier a write leaves.
    """

    def __init__(
        self,
        client: ConsulClient,
        *,
        patience: timedelta = timedelta(seconds=60),
        history_kept: int = HISTORY_KEPT,
    ) -> None:
        self.client = client
        self.keys = Keys(client.settings.root)
        self.patience = patience
        self.history_kept = history_kept

    @asynccontextmanager
    async def with_patience(self, patience: timedelta | None) -> AsyncGenerator[SharedView]:
        """The same view with another patience, for reads as for writes, open inside the context; None keeps it."""
        if patience is None:
            yield self
            return
        async with type(self.client)(self.client.settings, retry_for=patience) as client:
            yield SharedView(client, patience=patience, history_kept=self.history_kept)

    async def read(self, environment: str, tier: str) -> TierRecord:
        """Read a tier's documents.

        :raises AccessDenied: the token may not read the tier, which must not pass for an empty one.
        """
        index, entries = await self.client.tree(self.keys.tier(environment, tier))
        return await read_tier(self.client, self.keys, environment, tier, entries, index=index)

    async def desired(self, environment: str, tiers: Collection[str]) -> dict[str, DesiredState | None]:
        """By tier, its desired state alone, however many nodes report; None without one.

        :raises MalformedDocument: one cannot be read.
        """
        found: dict[str, DesiredState | None] = {}
        for tier in tiers:
            entry = await self.client.get(self.keys.desired(environment, tier))
            found[tier] = DesiredState.from_json(entry.key, entry.value) if entry else None
        return found

    async def snapshot(
        self, environment: str, tier: str, selector: Selector, *, known: Collection[str] = ()
    ) -> TierSnapshot:
        """Read a tier with its members, consistently.

        :param known: nodes that stay members even when they are gone.
        """
        return (await self.snapshots(environment, {tier: selector}, known={tier: known}))[tier]

    async def snapshots(
        self,
        environment: str,
        selectors: Mapping[str, Selector],
        *,
        known: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> dict[str, TierSnapshot]:
        """Read tiers with their members, consistently; the documents of up to 64 tiers at the same instant.

        :param selectors: by tier.
        :param known: by tier, nodes that stay members even when they are gone.
        """
        prefixes = {tier: self.keys.tier(environment, tier) for tier in selectors}
        reading = asyncio.create_task(self.client.trees(list(prefixes.values())))
        checking = asyncio.create_task(read_health(self.client))
        listing = {
            selector: asyncio.create_task(read_nodes(self.client, selector)) for selector in set(selectors.values())
        }
        await gather_all(reading, checking, *listing.values())
        trees, health = reading.result(), checking.result()
        found = {}
        for tier, selector in selectors.items():
            record = await read_tier(self.client, self.keys, environment, tier, trees[prefixes[tier]])
            nodes, before = listing[selector].result(), known.get(tier, ())
            strays = (set(before) - nodes.keys()) | guests_of(tier, selector, record, nodes)
            named = await read_named(self.client, strays) if strays else {}
            members = members_of(nodes, health, selector) | strays_of(named, health, selector, before)
            await self._check_can_read_reports(environment, tier, record, members)
            found[tier] = TierSnapshot(record.desired, members, record.evidence, record.tickets)
        return found

    async def look(self, environment: str, tier: str, selector: Selector, *, known: Collection[str]) -> TierSnapshot:
        """The tier now, through the queries of its watches: where nothing has changed since, that takes little.

        :param known: nodes that stay members even when they are gone.
        """
        async with aclosing(self.watch(environment, tier, selector, known=known)) as watch:
            return await anext(watch)

    async def require_members(self, tier_path: str, selector: Selector) -> Members:
        """The members that a selector selects now.

        :param tier_path: what to call the tier in an error.
        :raises NoMembers: it selects none.
        """
        members = await read_members(self.client, selector)
        if not members:
            raise NoMembers(f"{tier_path} has no members: Consul lists no node for {selector}")
        return members

    async def watch(
        self,
        environment: str,
        tier: str,
        selector: Selector,
        *,
        known: Collection[str] | None = None,
        viewer: Viewer | None = None,
        with_tickets: bool = False,
    ) -> AsyncGenerator[TierSnapshot]:
        """Yield the tier as it is now, and again after each change.

        All watches with the same settings share a few connections in an event loop, whatever their environments. Close
        the generator (``contextlib.aclosing``) to end it.

        :param known: nodes that stay members even when they are gone, as do those that this watch lists; None forgets
            members that are gone.
        :param viewer: says how long what it waits for will take; the nearer that is, the sooner news is read.
        :param with_tickets: also yield when nothing but tickets for slots has changed.
        :raises ConsulUnavailable: Consul stayed unavailable for longer than the client's patience.
        """
        viewer = viewer or Viewer()
        last: TierSnapshot | None = None
        checked: Mapping[str, Evidence] | None = None
        async with (
            subscribed_to_tier(self.client.settings, environment, tier, viewer) as tier_subscription,
            subscribed_to_members(self.client.settings, selector, known, viewer) as members_subscription,
        ):
            while True:
                viewer.clear()
                left = _patience_left((tier_subscription, members_subscription), self.client.retry_for)
                record = tier_subscription.latest
                nodes = members_subscription.nodes()
                members = None
                if record is not None and nodes is not None:
                    members = members_subscription.members(guests_of(tier, selector, record, nodes))
                if record is not None and members is not None:
                    if checked is not record.evidence:
                        await self._check_can_read_reports(environment, tier, record, members)
                        checked = record.evidence
                    snapshot = TierSnapshot(record.desired, members, record.evidence, record.tickets)
                    is_news = last is None or last.evidence is not record.evidence or last != snapshot
                    if is_news or (with_tickets and last is not None and last.tickets is not record.tickets):
                        last = snapshot
                        yield snapshot
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await viewer.wait()

    async def history(self, environment: str, tier: str) -> dict[int, DesiredState]:
        """By generation, oldest first, the desired states as first written; unreadable ones are left out."""
        _, entries = await self.client.tree(self.keys.histories(environment, tier))
        found = {}
        for entry in entries:
            number = parse_number(entry.key.rpartition("/")[2])
            desired = read_desired(entry)
            if number is not None and isinstance(desired, DesiredState):
                found[number] = desired
        return dict(sorted(found.items()))

    async def _check_can_read_reports(self, environment: str, tier: str, record: TierRecord, members: Members) -> None:
        """Check that an empty list means no reports: it hides what the token may not read, but a single key raises."""
        named = next((name for name in members if is_name(name)), None)  # others cannot have reported
        if not record.evidence and named is not None:
            await self.client.get(self.keys.report(environment, tier, named))


def guests_of(tier: str, selector: Selector, record: TierRecord, nodes: Nodes) -> set[str]:
    """Nodes that the selector does not select, but that have reported on their current assignment.

    So a node whose service is gone from the catalog stays a member while the catalog lists the node.
    """
    desired = record.desired
    if not isinstance(selector, ServiceMembers) or selector.service != tier or not isinstance(desired, DesiredState):
        return set()
    return {
        node
        for node in record.evidence.keys() - nodes.keys()
        if isinstance(report := record.evidence[node].report, NodeReport)
        and report.is_about(desired.assignment_for(node))
    }


def _patience_left(
    subscriptions: Iterable[Subscription[TierRecord] | MembersSubscription], patience: timedelta
) -> float | None:
    """Seconds until the watch gives up on an unavailable Consul; None while it is available.

    :raises ConsulUnavailable: none are left.
    """
    left: float | None = None
    for subscription in subscriptions:
        if subscription.trouble is not None:
            until = max(subscription.trouble.since, subscription.since) + patience.total_seconds() - monotonic()
            if until <= 0:
                raise subscription.trouble.error.with_traceback(None)
            left = until if left is None else min(left, until)
    return left
