"""One node of a simulated fleet: when its desired state changes it runs, and reports what became of that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.desired import Assignment, DesiredState
from airflow_provider_chefconsul.rollout.report import NodeReport, RunError, Status
from airflow_provider_chefconsul.simulator.fault import OF_MOMENTS, Fault, Kind
from airflow_provider_chefconsul.simulator.plan import NodePlan
from airflow_provider_chefconsul.simulator.reporting import CLIENT, now, told_to_fail

CUT = 40  # characters of a report that stay of a malformed one


class Ending(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MALFORMED = "malformed"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class NodeRun:
    """A run of a node.

    :param ending: ``running`` until it ends, for ever when it hangs; ``malformed`` when it succeeded and its report
        cannot be read; ``cut off`` when the node went absent.
    """

    node: str
    tier: str
    assignment: Assignment
    ending: Ending = Ending.RUNNING
    fault: Fault | None = None


class Surroundings(Protocol):
    """What a node acts on."""

    def report(self, node: str, text: str) -> None:
        """Write the node's report."""

    def appear(self, node: str, *, is_new: bool) -> None:
        """Make the node a member that is present."""

    def vanish(self, node: str) -> None:
        """Make the node absent."""

    def note(self, run: NodeRun) -> None:
        """Take note of a run that begins or ends."""


class SimulatedNode:
    """A node that obeys the contract, apart from its faults.

    :param start: starts a task.
    :param reported: what it has reported before the fleet was started.
    """

    def __init__(
        self,
        plan: NodePlan,
        surroundings: Surroundings,
        start: Callable[..., asyncio.Task[None]],
        reported: NodeReport | None = None,
    ) -> None:
        self.plan = plan
        self.is_member = plan.is_there_at_start
        self.is_present = self.is_member
        self._around = surroundings
        self._start = start
        self._reported = reported
        self._desired: DesiredState | MalformedDocument | None = None
        self._considered: int | None = None  # the generation that faults of moments have seen
        self._fired: float | None = None  # when the watch fired that no run has answered yet
        self._running: asyncio.Task[None] | None = None

    def see(self, desired: DesiredState | MalformedDocument | None, at: float) -> None:
        """Take in what the watch delivers.

        :param at: when it did, by the event loop's clock. Runs that begin at one moment end in the order of their
            durations.
        """
        self._desired = desired
        if isinstance(desired, DesiredState):
            assignment = desired.assignment_for(self.plan.node)
            if assignment.generation != self._considered:
                self._considered = assignment.generation
                for fault in self.plan.faults:
                    if fault.kind in OF_MOMENTS and fault.condition.is_given and fault.condition.is_met_by(assignment):
                        self.meet(fault.kind)
        self._fire(at)

    def meet(self, kind: Kind) -> None:
        """Go absent, return or join, unless it already has."""
        if kind is Kind.ABSENT and self.is_present:
            self.is_present = False
            if self._running is not None:
                self._running.cancel()
                self._running = None
            self._around.vanish(self.plan.node)
        elif kind is not Kind.ABSENT and not self.is_present and (self.is_member or kind is Kind.JOINS):
            self._around.appear(self.plan.node, is_new=not self.is_member)
            self.is_member = self.is_present = True
            self._fire(asyncio.get_running_loop().time())  # an agent's watch fires when it starts

    def _fire(self, at: float) -> None:
        """Run, now or once the present run has ended; like a watch's handler, however often it was asked meanwhile."""
        self._fired = at
        if self.is_present and self._running is None and self._assignment_to_run() is not None:
            self._running = self._start(self._run_while_fired())

    def _assignment_to_run(self) -> Assignment | MalformedDocument | None:
        """What a run would read now; None when it would have nothing to do."""
        if not isinstance(self._desired, DesiredState):
            return self._desired
        assignment = self._desired.assignment_for(self.plan.node)
        has_done_it = self._reported is not None and self._reported.has_converged_on(assignment)
        return None if has_done_it else assignment

    async def _run_while_fired(self) -> None:
        loop = asyncio.get_running_loop()
        begun, self._fired = self._fired, None
        while begun is not None:
            match self._assignment_to_run():
                case MalformedDocument() as error:
                    self._fail_unread(error)
                case Assignment() as assignment:
                    await self._run(assignment, begun)
                case None:
                    pass
            begun = None if self._fired is None else loop.time()
            self._fired = None
        self._running = None

    async def _run(self, assignment: Assignment, begun: float) -> None:
        plan = self.plan.run(assignment)
        run = NodeRun(self.plan.node, self.plan.tier, assignment, fault=plan.fault)
        report = replace(self._new_report(), generation=assignment.generation, state=assignment.state)
        self._send(report)
        self._around.note(run)
        try:
            if plan.fault is not None and plan.fault.kind is Kind.HANGS:
                await asyncio.Event().wait()
            await asyncio.sleep(begun + plan.seconds - asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            self._around.note(replace(run, ending=Ending.CUT_OFF))
            raise
        report = replace(report, status=Status.SUCCEEDED, finished_at=now(), updated_resources=1)
        if plan.fault is None:
            self._send(report)
            self._around.note(replace(run, ending=Ending.SUCCEEDED))
        elif plan.fault.kind is Kind.MALFORMED:
            self._around.report(self.plan.node, report.to_json()[:CUT])
            self._around.note(replace(run, ending=Ending.MALFORMED))
        else:
            failed = replace(report, status=Status.FAILED, updated_resources=0, error=told_to_fail(plan.fault.text))
            self._send(failed)
            self._around.note(replace(run, ending=Ending.FAILED))

    def _fail_unread(self, error: MalformedDocument) -> None:
        """Where a node cannot read what it should be, the orchestrator learns why there was no run."""
        unread = RunError(type(error).__name__, str(error))
        self._send(replace(self._new_report(), status=Status.FAILED, finished_at=now(), error=unread))

    def _new_report(self) -> NodeReport:
        return NodeReport(
            node=self.plan.node,
            tier=self.plan.tier,
            generation=None,
            state=None,
            status=Status.RUNNING,
            run_id=os.urandom(16).hex(),
            started_at=now(),
            client=CLIENT,
        )

    def _send(self, report: NodeReport) -> None:
        self._reported = report
        self._around.report(self.plan.node, report.to_json())
