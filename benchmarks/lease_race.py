"""Two Dag runs race for one environment, again and again: they take its lease, write, and give it up.

    python -m benchmarks.lease_race [--trials 1000] [--takeovers 200] [--json FILE]

In some of the trials the first Dag run stops renewing a lease of one second, so that the other takes it over at about
the moment at which the first one writes. Both orchestrators are in this process, each with a client of its own, so the
order of what they believe is known. Exits with 1 when both held the environment at once, a write of a holder that had
been taken over was accepted, or an accepted write is not in the history.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.acquisition import acquire
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.lease import release
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.exceptions import EnvironmentLeased, LeaseLost
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

ROUNDS = 3  # of each Dag run in a trial
AT_ONCE = 8  # trials, each in an environment of its own
TTL = timedelta(minutes=1)
SHORT_TTL = timedelta(seconds=1)
LONGEST_PAUSE = 0.1  # seconds, before a Dag run takes the lease or writes
AROUND = 0.1  # seconds before and after the end of the short ttl in which its holder writes
DEFAULT_JSON = Path("build/benchmarks/lease_race.json")


@dataclass(slots=True)
class Figures:
    """What the trials came to.

    :param waited: acquisitions that had to wait for the other Dag run.
    :param renewed: takeovers that did not come about, since the first Dag run wrote before and so renewed its lease.
    :param double_holders: acquisitions while the other Dag run held the environment and had not stopped renewing, and
        writes that were refused to a Dag run that held it.
    :param stale_writes: writes that were accepted although the other Dag run had taken over before they began.
    :param lost_writes: accepted writes that the history does not have.
    """

    trials: int = 0
    acquisitions: int = 0
    waited: int = 0
    takeovers: int = 0
    renewed: int = 0
    accepted: int = 0
    refused: int = 0
    double_holders: int = 0
    stale_writes: int = 0
    lost_writes: int = 0
    seconds: float = 0.0

    @property
    def is_met(self) -> bool:
        """Whether nothing happened that must not."""
        return (self.double_holders, self.stale_writes, self.lost_writes) == (0, 0, 0)


@dataclass(slots=True)
class Orchestrator:
    """One Dag run, and what it believes."""

    view: SharedView
    name: str
    believes: bool = False
    is_stalled: bool = False

    @property
    def holder(self) -> DagRun:
        """The Dag run."""
        return DagRun("race", self.name)

    async def take(self, environment: str) -> bool:
        """Hold the environment; whether it had to be waited for."""
        until, lines = datetime.now(UTC) + timedelta(minutes=5), list[str]()
        has_it = await acquire(
            self.view, environment, self.holder, ttl=TTL, reason="race", until=until, on_progress=lines.append
        )
        assert has_it, "five minutes were not enough"
        self.believes = True
        return bool(lines)

    async def write(self, environment: str, release_name: str) -> bool:
        """Write a new desired state; whether Consul took it."""
        change = Change("converged", Writer("race", self.name, "set"), {"release": release_name})
        try:
            await write(self.view, environment, {"web": change})
        except (EnvironmentLeased, LeaseLost):
            return False
        return True

    async def give_up(self, environment: str) -> None:
        """Free the environment."""
        self.believes = False
        await release(self.view, environment, self.holder)


@dataclass(slots=True)
class Trial:
    """Two Dag runs and one environment."""

    environment: str
    first: Orchestrator
    second: Orchestrator
    figures: Figures
    accepted: int = field(default=0)

    async def race(self) -> None:
        """Both take, write and give up as fast as they can."""
        await asyncio.gather(self._loop(self.first, self.second), self._loop(self.second, self.first))
        await self._check_history()

    async def take_over(self) -> None:
        """The first one stalls, the second one takes over, and the first one writes at about that moment."""
        self.first.believes = self.first.is_stalled = True
        lease = Lease.begin(self.first.holder, SHORT_TTL, "stalls", now=datetime.now(UTC))
        client, keys = self.first.view.client, self.first.view.keys
        assert await client.put(keys.lease(self.environment), lease.to_json(), modify_index=0)
        taking = asyncio.create_task(self._take(self.second, self.first))
        await asyncio.sleep(SHORT_TTL.total_seconds() + random.uniform(-AROUND, AROUND))
        was_taken_over = self.second.believes
        has_written = await self._write(self.first, "late")
        self.figures.stale_writes += has_written and was_taken_over
        if has_written:
            self.figures.renewed += 1
            await self.first.give_up(self.environment)
        else:
            self.figures.takeovers += 1
        self.first.believes = self.first.is_stalled = False
        await taking
        self.figures.double_holders += not await self._write(self.second, "its turn")
        await self.second.give_up(self.environment)
        await self._check_history()

    async def _loop(self, one: Orchestrator, other: Orchestrator) -> None:
        for number in range(ROUNDS):
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))
            await self._take(one, other)
            for step in range(2):
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))
                is_accepted = await self._write(one, f"{one.name}-{number}-{step}")
                self.figures.double_holders += not is_accepted
            await one.give_up(self.environment)

    async def _take(self, one: Orchestrator, other: Orchestrator) -> None:
        self.figures.waited += await one.take(self.environment)
        self.figures.acquisitions += 1
        self.figures.double_holders += other.believes and not other.is_stalled

    async def _write(self, one: Orchestrator, release_name: str) -> bool:
        is_accepted = await one.write(self.environment, release_name)
        self.accepted += is_accepted
        self.figures.accepted += is_accepted
        self.figures.refused += not is_accepted
        return is_accepted

    async def _check_history(self) -> None:
        written = await self.first.view.history(self.environment, "web")
        self.figures.lost_writes += self.accepted - len(written)


async def run_trials(port: int, trials: int, takeovers: int) -> Figures:
    """Run all trials, some of them at once."""
    figures = Figures(trials=trials)
    kinds = [True] * takeovers + [False] * (trials - takeovers)
    random.shuffle(kinds)
    waiting = iter(enumerate(kinds))

    async def work() -> None:
        async with AsyncExitStack() as stack:
            views = [
                SharedView(await stack.enter_async_context(ConsulClient(ConsulSettings("127.0.0.1", port))))
                for _ in range(2)
            ]
            for number, is_takeover in waiting:
                first, second = (Orchestrator(view, f"run-{name}") for name, view in enumerate(views))
                trial = Trial(f"env-{number}", first, second, figures)
                await (trial.take_over() if is_takeover else trial.race())

    started = perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    figures.seconds = round(perf_counter() - started, 1)
    return figures


def print_table(figures: Figures) -> None:
    """Print what happened."""
    table = Table(title="Two Dag runs race for one environment")
    for column in ("", "count"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in asdict(figures).items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 0 when nothing happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--takeovers", type=int, default=200, help="how many of the trials have a forced takeover")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)

    with (
        tempfile.TemporaryDirectory(prefix="lease-race-") as name,
        ConsulCluster(find_consul(), Path(name)) as cluster,
    ):
        figures = asyncio.run(run_trials(cluster.http_port, options.trials, options.takeovers))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"is_met": figures.is_met, **asdict(figures)}, indent=2) + "\n")
    print_table(figures)
    return 0 if figures.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
