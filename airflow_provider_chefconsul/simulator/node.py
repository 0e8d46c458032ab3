"""One node of a simulated fleet: it runs when its desired state changes, and reports the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from airflow_provider_chefconsul.consul.held_slot import HeldSlot
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status, WaitsFor
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.simulator import reporting
from airflow_provider_chefconsul.simulator.claim import Claim
from airflow_provider_chefconsul.simulator.fault import OF_PRESENCE, Fault, Kind
from airflow_provider_chefconsul.simulator.plan import NodePlan
from airflow_provider_chefconsul.simulator.surroundings import NodeRun, RunEnding, Surroundings

CUT = 40  # characters that a malformed report keeps


class SimulatedNode:
    """A node that obeys the contract, apart from its faults.

    :param start: starts a task.
    :param reported: the report under its name when the fleet starts; one that an earlier machine wrote does not count.
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
        self._has_been_member = self.is_member
        self._reported = reported
        self._rebooted_for: Assignment | None = None
        self._desired: DesiredState | Unreadable | None = None
        self._considered: Assignment | None = None  # the last that faults of presence were checked against
        self._considered_at = 0.0  # when it first saw that, by the event loop's clock
        self._news = asyncio.Event()
        self._fired: float | None = None  # when the watch fired, until a run answers it
        self._running: asyncio.Task[None] | None = None

    def see(self, desired: DesiredState | Unreadable | None, at: float) -> None:
        """Take in what the watch delivers.

        :param at: when it did, by the event loop's clock. Runs that begin at one moment end in the order of their
            durations.
        """
        self._desired = desired
        if isinstance(desired, DesiredState):
            assignment = desired.assignment_for(self.plan.node)
            if self._considered is None or not assignment.is_same_as(self._considered):
                self._considered, self._considered_at = assignment, at
                for fault in self.plan.faults:
                    if fault.kind in OF_PRESENCE and fault.condition.is_given and fault.condition.is_met_by(assignment):
                        self.undergo(fault.kind)
        self._fire(at)

    def undergo(self, kind: Kind) -> None:
        """Go absent, leave, return or join, unless it already has."""
        match kind:
            case Kind.ABSENT if self.is_present:
                self._cut_off()
                self._vanish()
            case Kind.LEAVES if self.is_member:
                self._cut_off()
                self.is_member = self.is_present = False
                self._around.leave(self.plan.node)
            case Kind.RETURNS if self._has_been_member and not self.is_present:
                self._appear()
            case Kind.JOINS if not self.is_present:
                self._appear()

    def _cut_off(self) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None

    def _vanish(self) -> None:
        self.is_present = False
        self._around.vanish(self.plan.node)

    def _appear(self) -> None:
        self._around.appear(self.plan.node, is_new=not self.is_member)
        self.is_member = self.is_present = self._has_been_member = True
        self._fire(asyncio.get_running_loop().time())  # an agent's watch fires when it starts

    def _fire(self, at: float) -> None:
        """Run now, or once after the present run, however often the watch fires meanwhile: as its handler does."""
        self._fired = at
        self._news.set()
        if self.is_present and self._running is None and self._assignment_to_run() is not None:
            self._running = self._start(self._run_while_fired())

    def _assignment_to_run(self) -> Assignment | Unreadable | None:
        """What a run would read now; None when there is nothing to do."""
        if not isinstance(self._desired, DesiredState):
            return self._desired
        assignment = self._desired.assignment_for(self.plan.node)
        return None if reporting.has_converged(self._reported, assignment, self.plan.node_id) else assignment

    async def _run_while_fired(self) -> None:
        loop = asyncio.get_running_loop()
        since, self._fired = self._fired, None
        while since is not None and self.is_present:
            match self._assignment_to_run():
                case Unreadable() as unreadable:
                    error = reporting.error_of(unreadable.error())
                    report = reporting.new(self.plan.node, self.plan.tier)
                    self._send(reporting.end(report, Status.FAILED, error=error))
                case Assignment() as assignment if await self._is_early(assignment):
                    since = loop.time()
                    continue
                case Assignment() as assignment if assignment.pace.max_parallel is not None:
                    await self._run_in_turn()
                case Assignment() as assignment:
                    await self._run(assignment, since, reporting.new(self.plan.node, self.plan.tier))
                case None:
                    pass
            since = None if self._fired is None else loop.time()
            self._fired = None
        self._running = None

    async def _is_early(self, assignment: Assignment) -> bool:
        """Whether its moment to begin had not come; waits for it, or for news, since the newest assignment wins."""
        due = self._considered_at + (assignment.delay_of(self.plan.node) if assignment.pace.spread_over else 0)
        if asyncio.get_running_loop().time() >= due:
            return False
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._news.wait()
        return True

    def _find_wanted(self) -> Assignment | None:
        wanted = self._assignment_to_run()
        return wanted if isinstance(wanted, Assignment) else None

    async def _run_in_turn(self) -> None:
        """Run what is assigned then, once the node has a slot or needs none any more."""
        report = reporting.new(self.plan.node, self.plan.tier)

        def say_behind(waits_for: WaitsFor) -> None:
            if (wanted := self._find_wanted()) is not None:
                self._send(replace(self._begin(report, wanted), status=Status.WAITING, waits_for=waits_for))

        claim = Claim(self.plan.node, self.plan.tier, self.plan.node_id, report.run_id, self._find_wanted, say_behind)
        slot: HeldSlot | None = None
        assignment = self._find_wanted()
        try:
            while assignment is not None:
                if slot is not None or assignment.pace.max_parallel is None:
                    await self._run(assignment, asyncio.get_running_loop().time(), report, slot)
                    return
                slot = await self._around.take_slot(claim)
                assignment = self._find_wanted()
            if slot is not None:
                await slot.give_back()
        except ChefConsulError as error:
            if assignment is not None:
                failed = self._begin(report, assignment)
                self._send(reporting.end(failed, Status.FAILED, error=reporting.error_of(error)))
        finally:
            if slot is not None:
                slot.abandon()

    def _begin(self, report: NodeReport, assignment: Assignment) -> NodeReport:
        return reporting.begin(report, assignment, before=self._reported, node_id=self.plan.node_id)

    async def _run(
        self, assignment: Assignment, since: float, report: NodeReport, slot: HeldSlot | None = None
    ) -> None:
        has_rebooted = self._rebooted_for is not None and assignment.is_same_as(self._rebooted_for)
        plan = self.plan.run(assignment, has_rebooted=has_rebooted)
        run = NodeRun(self.plan.node, self.plan.tier, assignment, fault=plan.fault)
        report = self._begin(report, assignment)
        self._send(report)
        self._around.note(run)
        try:
            if plan.fault is not None and plan.fault.kind is Kind.HANGS:
                await asyncio.Event().wait()
            await _sleep_until(since + plan.seconds)
        except asyncio.CancelledError:
            self._around.note(replace(run, ending=RunEnding.CUT_OFF))
            raise
        ending = self._end(report, plan.fault)
        self._around.note(replace(run, ending=ending))
        if slot is not None:
            await self._settle(slot, ending)
        match plan.fault:
            case Fault(kind=Kind.DIES):
                self._vanish()
            case Fault(kind=Kind.REBOOTS, seconds=seconds):
                self._rebooted_for = assignment
                self._vanish()
                self._start(self._boot(seconds))

    async def _settle(self, slot: HeldSlot, ending: RunEnding) -> None:
        """End the slot, once everybody can see how its run ended."""
        await self._around.settle()
        match ending:
            case RunEnding.FAILED:
                await slot.keep_failed()
            case RunEnding.REBOOTING:
                await slot.keep_for_reboot()
            case _:
                await slot.give_back()

    async def _boot(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.is_member:  # it may have left meanwhile
            self.undergo(Kind.RETURNS)

    def _end(self, report: NodeReport, fault: Fault | None) -> RunEnding:
        """Report the outcome of a run that nothing has cut off."""
        succeeded = reporting.end(report, Status.SUCCEEDED, updated=1)
        match fault:
            case None | Fault(kind=Kind.DIES):
                self._send(succeeded)
                return RunEnding.SUCCEEDED
            case Fault(kind=Kind.MALFORMED):
                self._around.report(self.plan.node, succeeded.to_json()[:CUT])
                self._reported = None  # nobody can read it, the node's next run included
                return RunEnding.MALFORMED
            case Fault(kind=Kind.REBOOTS):
                self._send(reporting.end(report, Status.REBOOTING, updated=1))
                return RunEnding.REBOOTING
            case _:
                self._send(reporting.end(report, Status.FAILED, error=reporting.simulated_failure(fault.text)))
                return RunEnding.FAILED

    def _send(self, report: NodeReport) -> None:
        self._reported = report
        self._around.report(self.plan.node, report.to_json())


async def _sleep_until(when: float) -> None:
    """Sleep until the loop's time is ``when``: of many, in this order, which ``asyncio.sleep`` does not promise."""
    is_reached = asyncio.Event()
    timer = asyncio.get_running_loop().call_at(when, is_reached.set)
    try:
        await is_reached.wait()
    finally:
        timer.cancel()
