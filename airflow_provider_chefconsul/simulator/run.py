"""One simulated Chef run: read once, report running, work, report the outcome."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status, WaitsFor
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ChefConsulError,
    ConsulError,
    ConsulUnavailable,
    MalformedDocument,
    NoDesiredState,
)
from airflow_provider_chefconsul.simulator import reporting
from airflow_provider_chefconsul.simulator.kv import KeyValue
from airflow_provider_chefconsul.simulator.output import RunOutput

if TYPE_CHECKING:
    from airflow_provider_chefconsul.simulator.client_slot import ClientSlot

T = TypeVar("T")
SUCCESS, FAILURE, INTERRUPTED = 0, 1, 2
READ_TIMEOUT = 8.0  # a server without a leader holds a request for about 7 s before it says so
REPORT_TIMEOUT = 2.0
NODE_ID_TIMEOUT = 1.0  # the agent knows it without the servers, and a run can do without
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """What stands in for the converge phase; ``seconds`` is how long it takes."""

    seconds: float = 0.0
    is_failing: bool = False
    is_hanging: bool = False


class SimulatedRun:
    """A run of one node for one tier, under the node's run lock.

    :param patience: for how many seconds to go on asking a Consul that does not answer for the desired state.
    """

    def __init__(
        self, kv: KeyValue, keys: Keys, *, environment: str, tier: str, node: str, work: Work, patience: float
    ) -> None:
        """Name the keys.

        :raises InvalidInput: a name is not valid.
        """
        self.kv = kv
        self.desired_key = keys.desired(environment, tier)
        self.report_key = keys.report(environment, tier, node)
        self.node = node
        self.tier = tier
        self.work = work
        self.patience = patience
        self.output = RunOutput(node)
        self.has_read = False
        self._keys = keys
        self._environment = environment
        self._slot: ClientSlot | None = None

    def converge(self, *, if_needed: bool) -> int:
        """Run, and return the exit code that chef-client would.

        :param if_needed: do nothing when the node has already reported its assignment as succeeded.
        """
        report = reporting.new(self.node, self.tier)  # the wait for the run lock does not count
        try:
            assignment = self._read_assignment()
        except (MalformedDocument, AccessDenied) as error:
            return self._fail(report, reporting.error_of(error))
        except ChefConsulError as error:
            self.output.error(str(error))
            return FAILURE
        node_id = self.kv.read_node_id(self.node, timeout=NODE_ID_TIMEOUT)
        before = self._read_report()
        if if_needed and reporting.has_converged(before, assignment, node_id):
            self.output.info(f"has already reported generation {assignment.generation} as succeeded: nothing to do")
            return SUCCESS
        report = reporting.begin(report, assignment, before=before, node_id=node_id)
        try:
            if assignment.pace.max_parallel is not None and not reporting.has_converged(before, assignment, node_id):
                newest = self._enter(report, assignment)
                if not newest.is_same_as(assignment):
                    report = reporting.begin(report, newest, before=before, node_id=node_id)
            return self._work(report)
        except ChefConsulError as error:
            return self._fail(report, reporting.error_of(error))
        except KeyboardInterrupt:
            self.output.info("got SIGINT, stops")
            self._finish(reporting.end(report, Status.INTERRUPTED))
            return INTERRUPTED

    def _read_assignment(self) -> Assignment:
        self.output.info(f"reads {self.desired_key}")
        text = self._patiently(
            lambda left: self.kv.get(self.desired_key, timeout=min(left, READ_TIMEOUT)), self.patience
        )
        self.has_read = True
        if text is None:
            raise NoDesiredState(f"{self.desired_key}: there is no such key; no desired state has been written")
        desired = DesiredState.from_json(self.desired_key, text)
        assignment = desired.assignment_for(self.node)
        kind = "stable" if assignment is desired.stable else "canary"
        self.output.info(
            f"is assigned generation {assignment.generation} ({kind}), state {assignment.state}, "
            f"values {json.dumps(dict(assignment.values))}"
        )
        return assignment

    def _enter(self, report: NodeReport, assignment: Assignment) -> Assignment:
        """Wait for a slot of the tier, and return the newest assignment."""
        from airflow_provider_chefconsul.simulator.client_slot import ClientSlot  # noqa: PLC0415 - few runs need it

        def say_behind(wanted: Assignment, waits_for: WaitsFor) -> None:
            about = replace(report, generation=wanted.generation, state=wanted.state, id=wanted.id)
            self._send(replace(about, status=Status.WAITING, waits_for=waits_for))

        self._slot = ClientSlot(
            self.kv,
            self._keys,
            self._environment,
            report=report,
            say=self.output.info,
            ask=lambda ask: self._patiently(lambda _left: ask(), self.patience),
        )
        return self._slot.enter(assignment, self._read_assignment, say_behind)

    def _patiently(self, ask: Callable[[float], T], patience: float) -> T:
        """Ask Consul until it answers; retries are limited by time, since a Consul in trouble makes each try wait.

        :param ask: takes how many seconds are left, at least 1.
        """
        deadline = time.monotonic() + patience
        pause = FIRST_PAUSE
        while True:
            try:
                return ask(max(deadline - time.monotonic(), 1.0))
            except ConsulUnavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                if pause == FIRST_PAUSE:
                    self.output.info(f"tries again for up to {patience:g} s: {error}")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _read_report(self) -> NodeReport | None:
        """The node's last report; None also when it cannot be read, which stops no run."""
        try:
            text = self.kv.get(self.report_key, timeout=REPORT_TIMEOUT)
            return None if text is None else NodeReport.from_json(self.report_key, text)
        except (ConsulError, MalformedDocument) as error:
            self.output.info(f"runs, because its last report cannot be read: {error}")
            return None

    def _work(self, report: NodeReport) -> int:
        self._send(report)
        if self.work.is_hanging:
            self.output.info("hangs until it is killed (--hang)")
            while True:
                time.sleep(0.2)  # not signal.pause(): it would miss a signal that came just before
        self.output.info(f"works for {self.work.seconds:g} s")
        time.sleep(self.work.seconds)
        if self.work.is_failing:
            return self._fail(report, reporting.simulated_failure("--fail"))
        self._finish(reporting.end(report, Status.SUCCEEDED))
        return SUCCESS

    def _fail(self, report: NodeReport, error: RunError) -> int:
        self._finish(reporting.end(report, Status.FAILED, error=error))
        return FAILURE

    def _finish(self, report: NodeReport) -> None:
        # The outcome is settled: from here on an interrupt could only spoil its report.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if report.error is not None:
            self.output.error(str(report.error))
        # Nothing waits for this process, but somebody waits for its report: a server restarts in 6 to 14 s.
        self._send(report, patience=self.patience)
        if self._slot is not None:
            try:
                self._slot.settle(report.status)
            except ConsulError as error:
                self.output.error(f"could not settle its slot, which others free in time: {error}")

    def _send(self, report: NodeReport, *, patience: float = 0.0) -> None:
        """Write a report; losing one must not change the run's outcome."""
        generation = f"generation {report.generation}" if report.generation is not None else "no generation read"
        try:
            self._patiently(
                lambda _left: self.kv.put(self.report_key, report.to_json(), timeout=REPORT_TIMEOUT), patience
            )
        except ConsulError as error:
            self.output.error(f"could not report {report.status} ({generation}); the next run reports again: {error}")
        else:
            self.output.info(f"reports {report.status} ({generation})")
