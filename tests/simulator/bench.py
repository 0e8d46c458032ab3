"""One simulated node without Consul, and a recorder of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from airflow_provider_chefconsul.consul.held_slot import HeldSlot
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.simulator.claim import Claim
from airflow_provider_chefconsul.simulator.node import SimulatedNode
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from airflow_provider_chefconsul.simulator.surroundings import NodeRun

LONGEST = 30  # seconds; nothing that a node does here takes so long
KEY = "chefconsul/demo/web/nodes/web-1"


class Recorder:
    """Surroundings that keep what the node does."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.moves: list[str] = []
        self.runs: list[NodeRun] = []

    def report(self, node: str, text: str) -> None:
        """Keep the report."""
        self.reports.append(text)

    async def settle(self) -> None:
        """All is kept at once."""

    async def take_slot(self, claim: Claim) -> HeldSlot | None:
        """No node without Consul has a slot."""
        raise AssertionError(f"{claim.node} needs a slot")

    def appear(self, node: str, *, is_new: bool) -> None:
        """Keep the move."""
        self.moves.append("joins" if is_new else "returns")

    def vanish(self, node: str) -> None:
        """Keep the move."""
        self.moves.append("goes absent")

    def leave(self, node: str) -> None:
        """Keep the move."""
        self.moves.append("leaves")

    def note(self, run: NodeRun) -> None:
        """Keep the run."""
        self.runs.append(run)

    @property
    def said(self) -> list[tuple[int | None, str]]:
        """Generation and status of each report."""
        read = [NodeReport.from_json(KEY, text) for text in self.reports]
        return [(report.generation, str(report.status)) for report in read]

    @property
    def before(self) -> list[str | None]:
        """What each report says of the run before."""
        read = [NodeReport.from_json(KEY, text) for text in self.reports]
        return [report.previous_status and str(report.previous_status) for report in read]

    @property
    def endings(self) -> list[str]:
        """What became of the runs."""
        return [str(run.ending) for run in self.runs]


class Bench:
    """A node with its recorder."""

    def __init__(self, *faults: str, reported: Any = None) -> None:
        self.recorder = Recorder()
        self.tasks: list[asyncio.Task[None]] = []
        plan = plan_fleet({"web": 1}, faults, seconds=0).nodes["web-1"]
        self.node = SimulatedNode(plan, self.recorder, self._start, reported)

    def _start(self, work: Any) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def see(self, desired: DesiredState | MalformedDocument | None) -> None:
        """What the watch delivers now."""
        self.node.see(desired, asyncio.get_running_loop().time())

    async def settle(self) -> None:
        """Until no run is under way."""
        async with asyncio.timeout(LONGEST):
            while running := [task for task in self.tasks if not task.done()]:
                await asyncio.wait(running)

    async def begin(self) -> None:
        """Until the run has reported that it runs."""
        await self.until(lambda: bool(self.recorder.reports))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Until what the node does has made it so."""
        while not is_so():  # noqa: ASYNC110 - few turns of the loop are all it takes
            await asyncio.sleep(0)
