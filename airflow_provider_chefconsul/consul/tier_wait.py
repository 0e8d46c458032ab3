"""One tier's part of a wait: judge the tier after each change, and when time alone may change the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_chefconsul.consul.steady_clock import SteadyClock
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.watching.topic import Viewer
from airflow_provider_chefconsul.domain.explanation.tier import describe_counts
from airflow_provider_chefconsul.domain.model.membership import Selector
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.convergence import Failed, Verdict, Waiting
from airflow_provider_chefconsul.domain.verdict.due import count_not_due
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

_BACKOFF = 1.0  # seconds between two watches when Consul is unavailable
_FIRST_LOOK = timedelta(seconds=3)  # granted even past the deadline: the triggerer may have been down
_SHORTEST_PAUSE = 0.5  # seconds, at least, between two looks that only time made due
_LONGEST_LOOK = 15.0  # seconds
_AGAIN = timedelta(seconds=5)  # between two looks while they differ from what the watch shows


@dataclass(frozen=True, slots=True)
class WaitResult:
    """A wait's last verdict, and the wait itself, to resume it."""

    verdict: Verdict
    wait: Wait


class TierWait:
    """A wait for one tier.

    :param on_progress: called with a line of text when the tier's status has changed.
    :param on_result: called after each verdict, and when the last one no longer holds.
    """

    def __init__(
        self,
        view: SharedView,
        environment: str,
        tier: str,
        selector: Selector,
        *,
        wait: Wait,
        policy: ConvergencePolicy,
        on_progress: Callable[[str], None],
        on_result: Callable[[], None],
    ) -> None:
        self.selector = selector
        self.wait = wait
        self.result: WaitResult | None = None
        """The last verdict; None before the first one, and while the tier cannot be read."""
        self._view = view
        self._environment, self._tier = environment, tier
        self._policy = policy
        self._on_progress = on_progress
        self._on_result = on_result
        self._last: TierSnapshot | None = None
        self._watched: TierSnapshot | None = None
        self._has_doubt = asyncio.Event()
        self._trouble: ConsulUnavailable | None = None
        self._last_line = ""
        self._clock = SteadyClock()
        self._viewer = Viewer()

    async def run(self, until: datetime | None) -> None:
        """Judge the tier after each change, until cancelled or time is up."""
        limit, first_look = self.wait.deadline, max(self.wait.deadline, self._clock.now() + _FIRST_LOOK)
        if until is not None:
            limit, first_look = min(limit, until), min(first_look, until)
        while True:
            try:
                await self._watch(limit, limit if self._last else first_look)
            except ConsulUnavailable as error:
                self.break_off(error)
                await asyncio.sleep(_BACKOFF)
            else:
                self._record(self._judge_at(limit), self._last)
                return

    async def _watch(self, limit: datetime, moment: datetime) -> None:
        """Judge each snapshot of the watch until the limit.

        :param moment: when to look again even when nothing changes.
        """
        known, viewer = self.wait.seen_members, self._viewer
        watching = self._view.watch(self._environment, self._tier, self.selector, known=known, viewer=viewer)
        async with aclosing(watching) as watch:
            coming = asyncio.create_task(anext(watch))
            doubting = asyncio.create_task(self._has_doubt.wait())
            try:
                while True:
                    pause = _pause(moment, limit, now=self._clock.now())
                    await asyncio.wait({coming, doubting}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                    if coming.done():
                        snapshot = self._watched = coming.result()
                        coming = asyncio.create_task(anext(watch))
                    elif doubting.done():
                        self._has_doubt.clear()
                        doubting = asyncio.create_task(self._has_doubt.wait())
                        moment = min(limit, moment, self._clock.now() + _AGAIN)
                        continue
                    elif moment >= limit:
                        return
                    else:  # time alone may have changed the verdict: look again
                        snapshot = await self.look()
                    self._trouble = None
                    await self._take_in(snapshot)
                    moment = min(limit, self.wait.next_moment(self._policy, now=self._clock.now()))
            finally:
                for task in (coming, doubting):
                    task.cancel()
                await asyncio.gather(coming, doubting, return_exceptions=True)

    def confirm(self, snapshot: TierSnapshot, seen_with: WaitResult | None) -> bool:
        """Judge a fresh snapshot; False when the verdict has changed meanwhile."""
        if self.result is not seen_with:
            return False
        self._record(self._observe(snapshot), snapshot)
        return True

    def break_off(self, error: ConsulUnavailable) -> None:
        """Note that the tier cannot be read, so its last verdict no longer counts."""
        if self._trouble is None:
            tier_path = f"{self._environment}/{self._tier}"
            self._on_progress(f"{tier_path}: {error}; trying again until {self.wait.deadline.isoformat()}")
        self._trouble = error
        self.wait = replace(self.wait, holding_since=None)
        self.result = None
        self._on_result()

    def unconfirmed(self, why: str) -> WaitResult:
        """The result when time is up and the last verdict could not be confirmed."""
        status = self.result.verdict.status if self.result else TierStatus(None)
        is_late = self._clock.now() >= self.wait.deadline
        verdict = Failed(f"deadline passed: {why}", status, is_timeout=True) if is_late else Waiting(status)
        return WaitResult(verdict, self.wait)

    async def look(self) -> TierSnapshot:
        """The tier as it is now.

        :raises ConsulUnavailable: Consul does not answer.
        """
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                known = self.wait.seen_members
                return await self._view.look(self._environment, self._tier, self.selector, known=known)
        except TimeoutError as error:
            raise ConsulUnavailable("Consul did not answer in time") from error

    async def _take_in(self, snapshot: TierSnapshot) -> None:
        verdict = self._observe(snapshot)
        if isinstance(verdict, Failed):
            # A failure is final, and a newly elected server may be behind: look again.
            snapshot = await self.look()
            verdict = self._observe(snapshot)
        self._record(verdict, snapshot)

    def _record(self, verdict: Verdict, snapshot: TierSnapshot | None) -> None:
        self._last = snapshot
        self.result = WaitResult(verdict, self.wait)
        missing = self._policy.min_converged.at_least(verdict.status.present) - verdict.status.count(Standing.CONVERGED)
        self._viewer.expect(missing)
        if snapshot is not self._watched and snapshot != self._watched and isinstance(verdict, Waiting):
            self._has_doubt.set()  # the watch may have missed this snapshot, and would then not correct it
        if self._trouble is None and verdict.status.nodes:  # where it has none, the verdict says all
            line = (
                f"{self._environment}/{self._tier} generation {self.wait.generation}: {describe_counts(verdict.status)}"
            )
            if not_due := count_not_due(verdict.status, now=self._clock.now()):
                line += f"; {not_due} not due yet"
            if isinstance(verdict, Waiting) and self.wait.holding_since is not None:
                line += f"; this must hold for {self._policy.min_healthy_time}"
            if line != self._last_line:
                self._on_progress(line)
                self._last_line = line
        self._on_result()

    def _observe(self, snapshot: TierSnapshot) -> Verdict:
        self.wait, verdict = self.wait.observe(snapshot, self._policy, now=self._clock.now())
        return verdict

    def _judge_at(self, limit: datetime) -> Verdict:
        """The verdict when time is up."""
        status = TierStatus(None)
        if self._last is not None:
            _, verdict = self.wait.observe(self._last, self._policy, now=limit)
            if self._trouble is None:
                return verdict
            status = verdict.status
        why = str(self._trouble) if self._trouble else "Consul did not answer in time"
        is_late = limit >= self.wait.deadline
        return Failed(f"deadline passed: {why}", status, is_timeout=True) if is_late else Waiting(status)


def _pause(moment: datetime, limit: datetime, *, now: datetime) -> float:
    """Seconds until a moment: enough not to spin, but no longer than until the limit."""
    if moment >= limit:
        return max(0.0, (moment - now).total_seconds())
    return max(0.0, min((limit - now).total_seconds(), max(_SHORTEST_PAUSE, (moment - now).total_seconds())))
