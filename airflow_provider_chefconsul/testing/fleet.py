"""A fleet of simulated nodes for one test, and a Dag run against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.wait import wait_for_tiers
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.explanation.node import explain_nodes
from airflow_provider_chefconsul.domain.explanation.tier import explain_tier
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.fleet import Fleet, running
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from airflow_provider_chefconsul.simulator.surroundings import NodeRun
from airflow_provider_chefconsul.testing.airflow_home import AirflowHome, DagRunResult
from airflow_provider_chefconsul.testing.background import Background

_BASELINE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TierOutcome:
    """What a tier looks like.

    :param desired: its desired state; None when it has none.
    :param standings: where each member stands towards its assignment, such as ``converged`` or ``lost``; one that
        is gone from the catalog has ``left``. None where a member has no assignment.
    :param explanation: all of it in words, for the message of an assertion.
    """

    desired: DesiredState | None
    standings: Mapping[str, Standing | None]
    explanation: str = field(repr=False)


class FleetUnderTest:
    """Simulated nodes; use as a context manager.

    ``runs`` are the runs that have begun or ended, ``lines`` what ``airflow chefconsul simulate`` would print.

    :param tiers: how many nodes each tier has, for names that are not Python identifiers; give others as ``web=12``.
    :param faults: what goes wrong, such as ``"web-7 fails in converged"``.
    :param seed: what decides which nodes "10% of web" are, and how long runs take.
    :param seconds: how long a run takes on average.
    :param state: the state of all tiers when the test begins, with ``values``; None gives them no desired state.
    """

    def __init__(
        self,
        settings: ConsulSettings,
        airflow: AirflowHome,
        *,
        tiers: Mapping[str, int] | None = None,
        faults: Iterable[str] = (),
        seed: int = 0,
        seconds: float = 0.1,
        environment: str = "demo",
        state: str | None = None,
        values: Mapping[str, Scalar] | None = None,
        **sizes: int,
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.lines: list[str] = []
        self.runs: list[NodeRun] = []
        self._airflow = airflow
        self._plan = plan_fleet({**(tiers or {}), **sizes}, faults, seed=seed, seconds=seconds)
        self._baseline = None if state is None else Change(state, Writer("test", "baseline", "fleet"), values or {})
        self._fleet: Fleet | None = None  # while it lives
        self._life = Background(self._live)

    def run(
        self,
        dag_file: str | Path,
        dag_id: str | None = None,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        consul_conn_id: str = "consul_default",
        mark_success: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: timedelta = timedelta(minutes=5),
    ) -> DagRunResult:
        """Run a Dag against this fleet to its end, in a process and an Airflow of its own.

        Nodes act on their desired state; they have no agents that a nudge could reach.

        :param dag_id: which Dag of the file, where it has several.
        :param consul_conn_id: the connection by which the Dag reaches Consul.
        :param mark_success: a pattern of task ids that are not run but marked as success, such as approvals.
        :param env: environment variables for the run, such as ``AIRFLOW_VAR_…``; those of this process that begin
            with ``AIRFLOW`` are left out.
        :raises DagNotRun: the file or the Dag in it does not exist, or the run did not end in time.
        """
        self._life.check()
        return self._airflow.run(
            Path(dag_file),
            settings=self.settings,
            consul_conn_id=consul_conn_id,
            dag_id=dag_id,
            conf=conf or {},
            logical_date=logical_date,
            mark_success=mark_success,
            env=env or {},
            timeout=timeout,
        )

    def touched(self, tier: str, **values: Scalar) -> list[str]:
        """The nodes of a tier that began a run of an assignment with these values, in order."""
        return sorted(
            {
                run.node
                for run in tuple(self.runs)  # another thread appends to them
                if run.tier == tier and values.items() <= dict(run.assignment.values).items()
            },
            key=lambda node: int(node.rpartition("-")[2]),
        )

    def tier(self, tier: str) -> TierOutcome:
        """What a tier looks like now."""
        if tier not in self._plan.tiers:
            raise InvalidInput(f"unknown tier {tier}; the fleet has {', '.join(self._plan.tiers)}")
        self._life.check()
        return self._life.call(self._look(tier))

    async def _look(self, tier: str) -> TierOutcome:
        assert self._fleet is not None
        known = [node for node in self._fleet.known if self._plan.nodes[node].tier == tier]
        async with ConsulClient(self.settings) as client:
            snapshot = await SharedView(client).snapshot(self.environment, tier, ServiceMembers(tier), known=known)
        status, now = tier_status(snapshot), datetime.now(UTC)
        explanation = explain_tier(self.environment, tier, status, now=now)
        lines = (explanation.headline, *explanation.obstacles, *map(str, explain_nodes(status, now=now).values()))
        return TierOutcome(
            status.desired if isinstance(status.desired, DesiredState) else None,
            {name: node.standing for name, node in status.nodes.items()},
            "\n".join(lines),
        )

    def __enter__(self) -> Self:
        self._life.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._life.stop()

    async def _live(self, ready: Callable[[], None]) -> None:
        async with ConsulClient(self.settings) as client:
            nodes = Fleet(client, self.environment, self._plan, tell=self.lines.append, on_run=self.runs.append)
            async with running(nodes) as fleet:
                self._fleet = fleet
                if self._baseline is not None:
                    await self._converge(client, self._baseline)
                ready()
                await fleet.is_over.wait()

    async def _converge(self, client: ConsulClient, baseline: Change) -> None:
        """Bring all tiers to the state in which the test begins."""
        self._check_faults(baseline)
        view = SharedView(client)
        tiers = list(self._plan.tiers)
        written = await write(view, self.environment, dict.fromkeys(tiers, baseline))
        deadline = datetime.now(UTC) + _BASELINE
        waits = {tier: Wait(written.generations[tier], deadline) for tier in tiers}
        selectors = {tier: ServiceMembers(tier) for tier in tiers}
        results = await wait_for_tiers(view, self.environment, waits, selectors, ConvergencePolicy(timeout=_BASELINE))
        for tier in tiers:
            verdict = results[tier].verdict if tier in results else None
            if not isinstance(verdict, Converged):
                raise _unreachable(tier, str(verdict))

    def _check_faults(self, baseline: Change) -> None:
        """Refuse faults that would hit a node before the test begins."""
        before = Assignment(1, baseline.state, baseline.values)
        for node, plan in self._plan.nodes.items():
            fault = plan.run(before, has_rebooted=True).fault
            if plan.is_there_at_start and fault is not None:
                raise _unreachable(plan.tier, f"fault {fault.text!r} hits {node} before")


def _unreachable(tier: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"tier {tier} cannot reach the state in which the test begins: {why}; limit faults to what the Dag writes, "
        f"such as 'web-7 fails with release=2.5.0'"
    )
