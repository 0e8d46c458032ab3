"""Watching several tiers, or all tiers of an environment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from airflow_provider_chefconsul.consul.history_watch import list_declared_tiers
from airflow_provider_chefconsul.consul.token_scope import check_token_sees_all
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot

_REST = 0.1  # seconds between two lists of the tiers


@dataclass(frozen=True, slots=True)
class TiersSeen:
    """The watched tiers as last seen, and a way to read them again before acting on them.

    :param snapshots: by tier; a watch of all tiers leaves out those whose desired state was deleted.
    """

    snapshots: Mapping[str, TierSnapshot]
    _view: SharedView
    _environment: str
    _members: str | Sequence[str]

    async def look_again(self, known: Mapping[str, Collection[str]]) -> Mapping[str, TierSnapshot]:
        """Read the same tiers again.

        :param known: by tier, nodes that stay members even when they are gone.
        """
        selectors = {tier: parse_members(self._members, tier) for tier in self.snapshots}
        return await self._view.snapshots(self._environment, selectors, known=known)


async def watch_tiers(
    view: SharedView, environment: str, tiers: Sequence[str] | None, members: str | Sequence[str]
) -> AsyncGenerator[TiersSeen]:
    """Yield the tiers once all have been seen, and again after each change.

    Close the generator (``contextlib.aclosing``) to end its queries.

    :param tiers: None means all that have a desired state, including those declared later.
    :param members: the ``members`` parameter of operators.
    :raises ConsulUnavailable: Consul stayed unavailable for longer than the client's patience.
    :raises AccessDenied: all tiers were asked for, but the token may read only part of the environment.
    """
    snapshots: dict[str, TierSnapshot] = {}
    has_changed = asyncio.Event()
    tasks: dict[str, asyncio.Task[None]] = {}
    is_listed = tiers is not None

    async def follow(tier: str) -> None:
        async with aclosing(view.watch(environment, tier, parse_members(members, tier))) as watch:
            async for snapshots[tier] in watch:
                has_changed.set()

    async def discover() -> None:
        nonlocal is_listed
        index = 0
        # A list hides what the token may not read, and the rest would pass for all tiers.
        await check_token_sees_all(view, view.keys.environment(environment))
        while True:
            index, declared = await list_declared_tiers(view, environment, index)
            for tier in declared:
                if tier not in tasks:
                    tasks[tier] = asyncio.create_task(follow(tier))
            is_listed = True
            has_changed.set()
            await asyncio.sleep(_REST)

    if tiers is None:
        tasks[""] = asyncio.create_task(discover())
    else:
        tasks.update({tier: asyncio.create_task(follow(tier)) for tier in tiers})
    try:
        while True:
            waking = asyncio.create_task(has_changed.wait())
            await asyncio.wait({waking, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            for task in tasks.values():
                if task.done():
                    task.result()
            has_changed.clear()
            if is_listed and snapshots.keys() == tasks.keys() - {""}:
                seen = {
                    tier: snapshot
                    for tier, snapshot in sorted(snapshots.items())
                    if tiers is not None or snapshot.desired is not None
                }
                yield TiersSeen(seen, view, environment, members)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
