"""Waiting until tiers have converged: the one loop that the sensor, the trigger and the operators share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.overview import read_early_failures
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.exceptions import ConsulError, ConsulUnavailable
from airflow_provider_chefconsul.rollout.convergence import (
    Converged,
    Failed,
    TierSnapshot,
    Verdict,
    Wait,
    Waiting,
    evaluate,
)
from airflow_provider_chefconsul.rollout.early_failure import EarlyFailure
from airflow_provider_chefconsul.rollout.membership import Selector
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.rollout.standing import Summary

log = logging.getLogger(__name__)
_BACKOFF = 1.0  # seconds between two watches when Consul is unavailable
_FIRST_LOOK = timedelta(seconds=3)  # however late the wait is resumed: its triggerer may have been down meanwhile


@dataclass(frozen=True, slots=True)
class WaitResult:
    """A wait's last verdict, the wait as it stands, to be gone on with, and what the verdict rests on.

    :param snapshot: None when the tier was never seen.
    """

    verdict: Verdict
    wait: Wait
    snapshot: TierSnapshot | None = None


async def begin_waits(
    view: SharedView,
    environment: str,
    tiers: Sequence[str],
    *,
    generations: Mapping[str, int] | None,
    timeout: timedelta,
    is_first_try: bool = True,
    nudged_at: int | None = None,
) -> dict[str, Wait]:
    """Describe waits for tiers that begin now, by tier.

    :param generations: by tier; None is all that each tier is assigned now, two while a canary is out.
    :param timeout: how long this try may take.
    :param is_first_try: whether failures that were reported before now count; on a later try they are history.
    :param nudged_at: the index of a nudge that belongs to this try; only failures up to it are history then.
    :raises NoDesiredState: a tier has none, and no generation was given.
    :raises MalformedDocument: it cannot be read.
    """
    deadline = datetime.now(UTC) + timeout
    waits = {}
    for tier in tiers:
        record = await view.read(environment, tier)
        if generations is None:
            assigned = record.required_desired(f"{environment}/{tier}").generations
        else:
            assigned = frozenset({generations[tier]})
        history = record.index if nudged_at is None else nudged_at
        newest = max(assigned)
        waits[tier] = Wait(newest, deadline, 0 if is_first_try else history, others=assigned - {newest})
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
    """Wait for several tiers at once: until all have converged, one has failed, or ``until`` has come.

    A tier that has converged is watched on until the others have, so that none is superseded unseen.

    :param waits: by tier.
    :param until: aware; when to come back with what has been seen, even without a verdict. None waits for one.
    :param on_progress: called with a line of text whenever where the tiers stand has changed.
    :returns: by tier; when one tier failed, the others' verdicts may be missing.
    """
    results: dict[str, WaitResult] = {}
    is_over = asyncio.Event()

    def record(tier: str, result: WaitResult) -> None:
        results[tier] = result
        converged = sum(isinstance(each.verdict, Converged) for each in results.values())
        if isinstance(result.verdict, Failed) or converged == len(waits):
            is_over.set()

    tasks = {
        asyncio.create_task(
            _TierWait(view, environment, tier, selectors[tier], policy, on_progress).run(wait, until, record)
        )
        for tier, wait in waits.items()
    }
    ending = asyncio.create_task(is_over.wait())
    try:
        running = set(tasks)
        while running and not is_over.is_set():
            done, _ = await asyncio.wait({ending, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & running:
                task.result()
            running -= done
    finally:
        for each in (ending, *tasks):
            each.cancel()
        await asyncio.gather(ending, *tasks, return_exceptions=True)
    return results


async def find_early_failures(
    view: SharedView, environment: str, results: Mapping[str, WaitResult]
) -> Mapping[str, EarlyFailure]:
    """By node, runs that read no tier, for the words of a wait that failed; none where Consul cannot be asked."""
    if any(isinstance(result.verdict, Failed) for result in results.values()):
        with suppress(ConsulError):  # the verdict stands without it
            return await read_early_failures(view, environment)
    return {}


@dataclass(slots=True)
class _TierWait:
    """One tier's part of a wait."""

    view: SharedView
    environment: str
    tier: str
    selector: Selector
    policy: ConvergencePolicy
    on_progress: Callable[[str], None]
    last: TierSnapshot | None = None
    trouble: ConsulUnavailable | None = None
    last_line: str = ""

    async def run(self, wait: Wait, until: datetime | None, record: Callable[[str, WaitResult], None]) -> None:
        """Record a verdict for each change of the tier, until it is cancelled or time is up."""
        limit, first_look = wait.deadline, max(wait.deadline, datetime.now(UTC) + _FIRST_LOOK)
        if until is not None:
            limit, first_look = min(limit, until), min(first_look, until)
        moment = first_look
        while True:
            try:
                async with (
                    asyncio.timeout(_seconds_until(moment)) as timeout,
                    aclosing(self.view.watch(self.environment, self.tier, self.selector)) as watch,
                ):
                    async for self.last in watch:
                        self.trouble = None
                        wait, verdict = await self._judge(wait, self.last)
                        record(self.tier, WaitResult(verdict, wait, self.last))
                        moment = min(limit, wait.next_moment(self.policy, now=datetime.now(UTC)))
                        timeout.reschedule(asyncio.get_running_loop().time() + _seconds_until(moment))
            except ConsulUnavailable as error:
                if self.trouble is None:
                    line = f"{self.environment}/{self.tier}: {error}; trying again until {wait.deadline.isoformat()}"
                    self.on_progress(line)
                self.trouble = error
                wait = replace(wait, holding_since=None)  # nobody watches meanwhile whether the policy is met
                moment = limit if self.last else first_look
                await asyncio.sleep(_BACKOFF)
            except TimeoutError:
                if moment >= limit:
                    record(self.tier, WaitResult(self._judge_at(limit, wait), wait, self.last))
                    return
                # Time alone may have changed the verdict: look once more, and judge by that.
                moment = min(limit, datetime.now(UTC) + _FIRST_LOOK)

    async def _judge(self, wait: Wait, snapshot: TierSnapshot) -> tuple[Wait, Verdict]:
        wait, verdict = self._hold(wait, snapshot)
        if isinstance(verdict, Failed):
            # It is final, and a server that has just been elected may have answered from an old state: look again.
            self.last = await self.view.snapshot(self.environment, self.tier, self.selector)
            wait, verdict = self._hold(wait, self.last)
        line = f"{self.environment}/{self.tier} generation {wait.generation}: {verdict.summary}"
        if isinstance(verdict, Waiting) and wait.holding_since is not None:
            line += f"; this must hold for {self.policy.min_healthy_time}"
        if line != self.last_line:
            self.on_progress(line)
            self.last_line = line
        return wait, verdict

    def _hold(self, wait: Wait, snapshot: TierSnapshot) -> tuple[Wait, Verdict]:
        now = datetime.now(UTC)
        wait = wait.observe(snapshot, now=now)
        return wait.hold(evaluate(snapshot, wait, self.policy, now=now), self.policy, now=now)

    def _judge_at(self, limit: datetime, wait: Wait) -> Verdict:
        """What to say when time is up."""
        summary = Summary(wait.generation)
        if self.last is not None:
            _, verdict = wait.hold(evaluate(self.last, wait, self.policy, now=limit), self.policy, now=limit)
            if self.trouble is None:
                return verdict
            summary = verdict.summary
        why = str(self.trouble) if self.trouble else "Consul did not answer in time"
        is_late = limit >= wait.deadline
        return Failed(f"deadline passed: {why}", summary, is_timeout=True) if is_late else Waiting(summary)


def _seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()
