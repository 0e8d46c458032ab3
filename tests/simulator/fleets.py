"""A fleet against the shared Consul, and what tests ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.convergence import Verdict
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing, judge
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.simulator.fleet import Fleet, running
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from airflow_provider_chefconsul.simulator.surroundings import NodeRun
from tests.support.factory import make_writer

LONGEST = 60  # seconds; nothing that a test waits for takes so long
ENVIRONMENT = "demo"


@dataclass
class Trial:
    """A running fleet with the view of an orchestrator."""

    fleet: Fleet
    view: SharedView
    lines: list[str] = field(default_factory=list)
    runs: list[NodeRun] = field(default_factory=list)

    async def write(self, *tiers: str, state: str = "converged", canary: int | None = None, release: str = "1") -> int:
        """Declare a state for tiers; returns the generation of the first."""
        change = Change(state, make_writer(), {"release": release}, canary=canary and Wave.parse(canary))
        written = await write(self.view, ENVIRONMENT, dict.fromkeys(tiers or ("web",), change))
        return next(iter(written.generations.values()))

    async def judge(
        self, generation: int, tier: str = "web", *, seconds: float = LONGEST, seen: Iterable[str] = (), **policy: Any
    ) -> Verdict:
        """The verdict of the wait that sensors use.

        :param seconds: after how many it fails without a verdict.
        :param seen: the nodes that it has seen alive before.
        """
        limit = timedelta(seconds=seconds)
        nodes = frozenset(seen)
        results = await wait_for_tiers(
            self.view,
            ENVIRONMENT,
            {tier: Wait(generation, datetime.now(UTC) + limit, seen_members=nodes, seen_alive=nodes)},
            {tier: ServiceMembers(tier)},
            ConvergencePolicy(timeout=limit, **policy),
        )
        return results[tier].verdict

    async def until(self, is_so: Callable[[Mapping[str, Standing]], bool], tier: str = "web") -> TierSnapshot:
        """The first snapshot in which the members' standings are as wanted."""
        watch = self.view.watch(ENVIRONMENT, tier, ServiceMembers(tier))
        seen: Mapping[str, Standing] = {}
        try:
            async with asyncio.timeout(LONGEST), aclosing(watch):
                async for snapshot in watch:
                    seen = standings(snapshot)
                    if is_so(seen):
                        return snapshot
        except TimeoutError:
            raise AssertionError(f"last seen: {seen}") from None
        raise AssertionError("the watch ended")


def endings(trial: Trial, node: str) -> list[str]:
    """What became of a node's runs."""
    return [str(run.ending) for run in trial.runs if run.node == node]


def standings(snapshot: TierSnapshot) -> dict[str, Standing]:
    """Where each member stands towards its assignment."""
    if not isinstance(snapshot.desired, DesiredState):
        return {node: Standing.NOT_REPORTED if member.is_present else Standing.ABSENT
                for node, member in snapshot.members.items()}  # fmt: skip
    return {
        node: judge(member, snapshot.desired, snapshot.evidence.get(node)).standing
        for node, member in snapshot.members.items()
    }


async def look(cluster: Any, root: str) -> TierSnapshot:
    """The web tier without a fleet's own clients."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=root)) as client:
        return await SharedView(client).snapshot(ENVIRONMENT, "web", ServiceMembers("web"))


@asynccontextmanager
async def start(
    cluster: Any,
    root: str,
    *faults: str,
    seed: int = 0,
    seconds: float = 0,
    tell: Callable[[str], None] | None = None,
    **tiers: int,
) -> AsyncIterator[Trial]:
    """A fleet below a root; three web nodes when nothing else is said."""
    settings = ConsulSettings("127.0.0.1", cluster.http_port, root=root)
    lines: list[str] = []
    runs: list[NodeRun] = []
    async with ConsulClient(settings) as own, ConsulClient(settings) as client:
        plan = plan_fleet(tiers or {"web": 3}, faults, seed=seed, seconds=seconds)
        async with running(Fleet(own, ENVIRONMENT, plan, tell=tell or lines.append, on_run=runs.append)) as fleet:
            yield Trial(fleet, SharedView(client), lines, runs)
