"""``airflow chefconsul status --watch``: tiers as they change."""

from __future__ import annotations

import asyncio
import logging
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from airflow_provider_chefconsul.cli.argument import parse_selectors
from airflow_provider_chefconsul.cli.command import look_for_orphans
from airflow_provider_chefconsul.cli.display.change_log import changes_between
from airflow_provider_chefconsul.cli.display.document import tier_fields
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.display.rendering import Screenful, render
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.consul.freeze import read_freeze
from airflow_provider_chefconsul.consul.overview import list_tiers, read_lease
from airflow_provider_chefconsul.domain.model.freeze import NOT_FROZEN, Freeze
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.membership import Selector
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, find_roller
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus, tier_status
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_BACKOFF = 1.0  # seconds between two watches while Consul is unavailable
_LOOK_AROUND = 5.0  # seconds between two looks for new tiers, at the lease and at what is frozen
_LOOK_FOR_FIRST = 1.0  # seconds between two looks while there is no tier


@dataclass
class StatusFollower:
    """Follows tiers, one watch for each, and shows every change until it is cancelled.

    :param missing: the message while nothing is declared yet.
    """

    view: SharedView
    args: Namespace
    output: Output
    missing: str = ""
    statuses: dict[str, TierStatus] = field(default_factory=dict)
    shown: dict[str, ShownTier] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    lease: Lease | Unreadable | None = None
    freeze: Freeze | Unreadable = NOT_FROZEN
    orphans: Mapping[str, RunEnd] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether there is a screen to draw on."""
        console = self.output.console
        return console.is_terminal and not console.is_dumb_terminal and not self.output.is_json

    async def run(self, tiers: Iterable[str]) -> NoReturn:
        """Follow the tiers and, if none was named, those declared later."""
        # Live redraws in its own thread, so that ages grow even if nothing changes.
        live = Live(get_renderable=self._render, console=self.output.console, screen=True, refresh_per_second=2)
        if self.missing and not self.is_live:
            self.output.line(f"{_clock(datetime.now(UTC))} {self.missing}; waiting for it")
        with _without_warnings(), live if self.is_live else nullcontext():
            await self._follow_all(tiers)

    async def _follow_all(self, tiers: Iterable[str]) -> NoReturn:
        following: dict[str, asyncio.Task[NoReturn]] = {}
        found = await self._look_around(list(tiers))
        try:
            while True:
                for tier, selector in parse_selectors(self.args, found).items():
                    if tier not in following:
                        following[tier] = asyncio.create_task(self._follow(tier, selector))
                if following:
                    done, _ = await asyncio.wait(
                        following.values(), timeout=_LOOK_AROUND, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        task.result()  # it only ends with an error
                else:
                    await asyncio.sleep(_LOOK_FOR_FIRST)
                found = await self._look_around(found)
        finally:
            for task in following.values():
                task.cancel()
            await asyncio.gather(*following.values(), return_exceptions=True)

    async def _look_around(self, tiers: list[str]) -> list[str]:
        """Read the lease, what is frozen and what was left in the middle, and list the tiers."""
        before = self.freeze, self.orphans
        try:
            self.lease = await read_lease(self.view, self.args.environment)
            self.freeze = await read_freeze(self.view, self.args.environment)
            self.orphans = await look_for_orphans(
                self.args, self.view, {tier: each.desired for tier, each in self.statuses.items()}, self.lease
            )
            found = tiers if self.args.tier else await list_tiers(self.view, self.args.environment)
        except ConsulUnavailable as error:
            if not tiers:  # otherwise the watches report it
                self._tell_trouble("", error)
            return tiers
        self.troubles.pop("", None)
        # No tier's watch sees a freeze, which may end by itself, nor the end of a Dag run.
        if not before[0] == self.freeze == NOT_FROZEN or before[1] != self.orphans:
            for tier in self.statuses:
                self._print_changes(tier)
        return found

    async def _follow(self, tier: str, selector: Selector) -> NoReturn:
        environment = self.args.environment
        while True:
            try:
                async with aclosing(self.view.watch(environment, tier, selector)) as watch:
                    async for snapshot in watch:
                        self.troubles.pop(tier, None)
                        self._see(tier, snapshot)
            except ConsulUnavailable as error:
                self._tell_trouble(tier, error)
                await asyncio.sleep(_BACKOFF)

    def _tell_trouble(self, tier: str, error: ConsulUnavailable) -> None:
        """Remember that Consul is unavailable; without a screen, also print it once.

        :param tier: empty while there are no tiers.
        """
        if tier not in self.troubles and not self.is_live:
            tier_path = f"{self.args.environment}/{tier}" if tier else self.args.environment
            self.output.line(f"{_clock(datetime.now(UTC))} {tier_path}: {error}; trying again")
        self.troubles[tier] = str(error)

    def _see(self, tier: str, snapshot: TierSnapshot) -> None:
        """Remember the tier's status."""
        self.statuses[tier] = tier_status(snapshot, before=self.statuses.get(tier))
        self._print_changes(tier)

    def _print_changes(self, tier: str) -> None:
        """Print what has changed, unless there is a screen."""
        if self.is_live:
            return
        now = datetime.now(UTC)
        shown = self.show(tier, self.statuses[tier], now)
        before, self.shown[tier] = self.shown.get(tier), shown
        lines = changes_between(before, shown, lists_all=self.args.all)
        if lines and self.output.is_json:
            fields = {"at": now.isoformat(), "environment": self.args.environment, **tier_fields(shown)}
            self.output.document(fields, is_one_line=True)
        elif not self.output.is_json:
            for line in lines:
                self.output.line(f"{_clock(now)} {line}")

    def show(self, tier: str, status: TierStatus, now: datetime) -> ShownTier:
        """A tier as it is shown."""
        orphan = self.orphans.get(tier)
        if orphan is not None and orphan.run != find_roller(status.desired):
            orphan = None  # somebody has moved the tier since the last look
        return ShownTier.of(
            self.args.environment,
            tier,
            status,
            now=now,
            lease=self.lease,
            freeze=self.freeze,
            orphan=orphan,
        )

    def _render(self) -> RenderableType:
        return self.screen(datetime.now(UTC))

    def screen(self, now: datetime) -> RenderableType:
        """What a terminal shows at a moment; worded anew each time, so that ages grow."""
        environment, console = self.args.environment, self.output.console
        statuses, troubles = self.statuses.copy(), self.troubles.copy()  # another thread adds to them
        trouble = next(iter(troubles.values()), "")
        above = f"{_clock(now)} UTC {environment}, Ctrl-C ends" + (f" · {trouble}" if trouble else "")
        ordered = [self.show(tier, status, now) for tier, status in sorted(statuses.items())]
        content = render(
            ordered, now=now, width=console.width, height=console.height, lists_all=self.args.all, above=above
        )
        is_declared = any(shown.status.desired is not None for shown in ordered)
        return Screenful(content if is_declared or not self.missing else Group(content, Text(self.missing, "yellow")))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep this package's warnings off the screen, which shows that Consul is unavailable."""
    logger = logging.getLogger("airflow_provider_chefconsul")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")
