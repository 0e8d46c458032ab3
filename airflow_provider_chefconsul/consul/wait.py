"""Waiting until tiers have converged: the one loop that the sensor, the trigger and the operators share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.rollout.convergence import (
    ConvergencePolicy,
    Failed,
    TierSnapshot,
    Verdict,
    Wait,
    Waiting,
    evaluate,
)
from airflow_provider_chefconsul.rollout.membership import Selector
from airflow_provider_chefconsul.rollout.standing import Summary

log = logging.getLogger(__name__)
_BACKOFF = 1.0  # seconds between two watches when Consul is unavailable
_FIRST_LOOK = timedelta(seconds=3)  # however late the wait is resumed: its triggerer may have been down meanwhile


@dataclass(frozen=True, slots=True)
class WaitResult:
    """A wait's last verdict, and the wait as it stands, to be gone on with."""

    verdict: Verdict
    wait: Wait


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

    :param waits: by tier.
    :param until: aware; when to come back with what has been seen, even without a verdict. None waits for one.
    :param on_progress: called with a line of text whenever where the tiers stand has changed.
    :returns: by tier; when one tier failed, the others' verdicts may be missing.
    """
    results: dict[str, WaitResult] = {}
    tasks = {
        asyncio.create_task(
            _wait_for_tier(
                view,
                environment,
                tier,
                wait,
                selector=selectors[tier],
                policy=policy,
                until=until,
                on_progress=on_progress,
            ),
            name=tier,
        )
        for tier, wait in waits.items()
    }
    try:
        pending = tasks
        while pending and not any(isinstance(result.verdict, Failed) for result in results.values()):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            results |= {task.get_name(): task.result() for task in done}
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return results


async def _wait_for_tier(
    view: SharedView,
    environment: str,
    tier: str,
    wait: Wait,
    *,
    selector: Selector,
    policy: ConvergencePolicy,
    until: datetime | None,
    on_progress: Callable[[str], None],
) -> WaitResult:
    last_line = ""
    last: TierSnapshot | None = None
    trouble: ConsulUnavailable | None = None
    limit, first_look = wait.deadline, max(wait.deadline, datetime.now(UTC) + _FIRST_LOOK)
    if until is not None:
        limit, first_look = min(limit, until), min(first_look, until)
    while True:
        try:
            async with (
                asyncio.timeout(_seconds_until(limit if last else first_look)) as timeout,
                aclosing(view.watch(environment, tier, selector)) as watch,
            ):
                async for last in watch:
                    trouble = None
                    wait = wait.observe(last)
                    verdict = evaluate(last, wait, policy, now=datetime.now(UTC))
                    line = f"{environment}/{tier} generation {wait.generation}: {verdict.summary}"
                    if line != last_line:
                        on_progress(line)
                        last_line = line
                    if not isinstance(verdict, Waiting):
                        return WaitResult(verdict, wait)
                    timeout.reschedule(asyncio.get_running_loop().time() + _seconds_until(limit))
        except ConsulUnavailable as error:
            if trouble is None:
                on_progress(f"{environment}/{tier}: {error}; trying again until {wait.deadline.isoformat()}")
            trouble = error
            await asyncio.sleep(_BACKOFF)
        except TimeoutError:
            return WaitResult(_verdict_at(limit, last, wait, policy, trouble), wait)


def _seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


def _verdict_at(
    limit: datetime,
    last: TierSnapshot | None,
    wait: Wait,
    policy: ConvergencePolicy,
    trouble: ConsulUnavailable | None,
) -> Verdict:
    """What to say when time is up without a verdict."""
    is_late = limit >= wait.deadline
    if trouble is None and last is not None:
        return evaluate(last, wait, policy, now=limit)
    nobody = Summary(wait.generation)
    why = str(trouble) if trouble else "Consul did not answer in time"
    return Failed(f"deadline passed: {why}", nobody, is_timeout=True) if is_late else Waiting(nobody)
