"""Waiting until tiers have converged: the one loop that the sensor, the trigger and the operators share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.http.gathering import gather_all
from airflow_provider_chefconsul.consul.overview import check_member_names, read_early_failures
from airflow_provider_chefconsul.consul.record import read_desired
from airflow_provider_chefconsul.consul.tier_wait import TierWait, WaitResult
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.membership import Selector
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable

log = logging.getLogger(__name__)
_BACKOFF = 1.0  # seconds before another try to read all tiers


async def begin_waits(
    view: SharedView,
    environment: str,
    tiers: Sequence[str],
    *,
    generations: Mapping[str, int] | None,
    timeout: timedelta,
    selectors: Mapping[str, Selector] | None = None,
    is_first_try: bool = True,
    nudged_at: int | None = None,
    new: Collection[str] = (),
) -> dict[str, Wait]:
    """Begin a wait for each tier.

    :param generations: by tier; None means all that a tier is assigned now, two while a canary is out.
    :param timeout: how long this try may take.
    :param selectors: by tier, its members; unknown names are refused.
    :param is_first_try: whether earlier failures count; on a later try they are history.
    :param nudged_at: the index of this try's nudge; only failures up to it are history then.
    :param new: tiers whose generation this try has made: no failure on it is history.
    :raises NoDesiredState: a tier has no desired state, and no generation was given.
    :raises MalformedDocument: a desired state cannot be read.
    :raises InvalidInput: Consul does not list a named member, and it has never reported.
    """
    deadline = datetime.now(UTC) + timeout
    waits = {}
    for tier in tiers:
        record = await view.read(environment, tier)
        if selectors is not None:
            await check_member_names(view, environment, tier, selectors[tier])
        if generations is None:
            assigned = record.required_desired(f"{environment}/{tier}").generations
        else:
            assigned = frozenset({generations[tier]})
        history = record.index if nudged_at is None else nudged_at
        newest = max(assigned)
        waits[tier] = Wait(
            newest,
            deadline,
            failures_after=0 if is_first_try or tier in new else history,
            begun_at=0 if tier in new else record.index,
            others=assigned - {newest},
            ids=record.ids_of(assigned),
        )
    return waits


async def wait_for_tiers(
    view: SharedView,
    environment: str,
    waits: Mapping[str, Wait],
    selectors: Mapping[str, Selector],
    policy: ConvergencePolicy,
    *,
    until: datetime | None = None,
    on_progress: Callable[[str], None] = log.info,
) -> dict[str, WaitResult]:
    """Wait until all tiers have converged, one has failed, or ``until`` is reached.

    Converged tiers are watched until the others have converged, too, so that none is superseded unnoticed.

    :param waits: by tier.
    :param until: when to return even without a verdict, timezone-aware; None waits for one.
    :param on_progress: called with a line of text when a tier's status has changed.
    :returns: by tier; when one tier failed, the others' verdicts may be missing.
    """
    has_news = asyncio.Event()
    parts = {
        tier: TierWait(
            view,
            environment,
            tier,
            selectors[tier],
            wait=wait,
            policy=policy,
            on_progress=on_progress,
            on_result=has_news.set,
        )
        for tier, wait in waits.items()
    }
    tasks = {asyncio.create_task(part.run(until)) for part in parts.values()}
    waking: asyncio.Task[bool] | None = None
    trouble: ConsulUnavailable | None = None
    try:
        while True:
            has_news.clear()
            trouble = await _confirm(view, environment, parts) if _have_converged(parts) else None
            if trouble is None and (_have_converged(parts) or _has_failed(parts)):
                break
            running = {task for task in tasks if not task.done()}
            if not running:
                break
            waking = asyncio.create_task(has_news.wait())
            pause = _BACKOFF if trouble else None
            await asyncio.wait({waking, *running}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            for task in tasks:
                if task.done():
                    task.result()
    finally:
        for each in (waking, *tasks):
            if each is not None:
                each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if trouble is not None:
        return {tier: part.unconfirmed(str(trouble)) for tier, part in parts.items()}
    return {tier: part.result for tier, part in parts.items() if part.result is not None}


def _has_failed(parts: Mapping[str, TierWait]) -> bool:
    return any(part.result and isinstance(part.result.verdict, Failed) for part in parts.values())


def _have_converged(parts: Mapping[str, TierWait]) -> bool:
    return all(part.result and isinstance(part.result.verdict, Converged) for part in parts.values())


async def _confirm(view: SharedView, environment: str, parts: Mapping[str, TierWait]) -> ConsulUnavailable | None:
    """Look again at all tiers once all have converged; the error when they cannot be read.

    They converged at different moments: one may have been superseded since, and a node may have died after it
    reported a success.
    """
    is_confirmed = False
    while _have_converged(parts) and not is_confirmed:  # again if a verdict has changed meanwhile
        before = {tier: part.result for tier, part in parts.items()}
        looks = {tier: asyncio.create_task(part.look()) for tier, part in parts.items()}
        try:
            await gather_all(*looks.values())
            seen = {tier: look.result() for tier, look in looks.items()}
            if len(seen) > 1 and not await _is_as_seen(view, environment, seen):
                continue
        except ConsulUnavailable as error:
            return error
        taken = {tier: part.confirm(seen[tier], before[tier]) for tier, part in parts.items()}
        is_confirmed = all(taken.values())
    return None


async def _is_as_seen(view: SharedView, environment: str, seen: Mapping[str, TierSnapshot]) -> bool:
    """Whether tiers that were read one after the other still have their desired states, at a single moment.

    That of up to 64 tiers, in one transaction.
    """
    keys = {tier: view.keys.desired(environment, tier) for tier in seen}
    found = await view.client.trees(list(keys.values()))
    desired = {entry.key: read_desired(entry) for entries in found.values() for entry in entries}
    return all(desired.get(keys[tier]) == snapshot.desired for tier, snapshot in seen.items())


async def find_early_failures(
    view: SharedView, environment: str, results: Mapping[str, WaitResult]
) -> Mapping[str, EarlyFailure]:
    """By node, runs that read no tier, to explain a failed wait; empty when Consul cannot be read."""
    if any(isinstance(result.verdict, Failed) for result in results.values()):
        with suppress(ConsulError):  # the verdict does not depend on them
            return await read_early_failures(view, environment)
    return {}
