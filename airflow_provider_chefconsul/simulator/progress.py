"""What a fleet prints while it runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from airflow_provider_chefconsul.domain.explanation.tier import describe_assignments
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.text import cut_lines, one_line
from airflow_provider_chefconsul.simulator.fault import Kind
from airflow_provider_chefconsul.simulator.plan import FleetPlan
from airflow_provider_chefconsul.simulator.surroundings import NodeRun, RunEnding

_SHOWN = 20  # lines that name a node and its fault


class Progress:
    """The lines: what is desired, each run that does not end well, and how the nodes of a tier ended."""

    def __init__(self, environment: str, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._environment = environment
        self._active: Counter[str] = Counter()
        self._hanging: dict[str, set[str]] = {}
        self._endings: dict[str, Counter[str]] = {}
        self._since: dict[str, float] = {}

    def tell(self, line: str) -> None:
        """Print a line; what comes from Consul is made printable."""
        self._tell(one_line(line))

    def introduce(self, plan: FleetPlan, url: str) -> None:
        """Say which nodes there are, and what will go wrong."""
        sizes = ", ".join(f"{tier}={len(nodes)}" for tier, nodes in plan.tiers.items())
        self.tell(f"{self._environment}: simulated nodes ({sizes}) are in the catalog of {url}")
        faults = [f"{node.node}: {fault.text}" for node in plan.nodes.values() for fault in node.faults]
        for line in cut_lines(faults, _SHOWN, "faults"):
            self.tell(line)

    def desire(self, tier: str, desired: DesiredState | Unreadable | None) -> None:
        """Say what is desired of a tier; None when its key was deleted."""
        match desired:
            case None:
                text = "no desired state"
            case Unreadable():
                text = str(desired)
            case DesiredState():
                text = describe_assignments(desired)
        self.tell(f"{self._environment}/{tier}: {text}")

    def note(self, run: NodeRun) -> None:
        """Record that a run begins or ends."""
        hanging = self._hanging.setdefault(run.tier, set())
        if run.fault is not None and run.fault.kind is Kind.HANGS:
            if run.ending is RunEnding.RUNNING:
                hanging.add(run.node)
                self._tell_fault(run, "hangs")
            else:
                hanging.discard(run.node)
        elif run.ending is RunEnding.RUNNING:
            if not self._active[run.tier]:
                self._endings[run.tier], self._since[run.tier] = Counter(), time.monotonic()
            self._active[run.tier] += 1
        else:
            self._end(run, len(hanging))

    def _end(self, run: NodeRun, hanging: int) -> None:
        if run.ending is RunEnding.FAILED:
            self._tell_fault(run, "fails")
        elif run.ending is RunEnding.MALFORMED:
            self._tell_fault(run, "reports malformed")
        elif run.ending is RunEnding.REBOOTING:
            self._tell_fault(run, "reboots")
        elif run.ending is RunEnding.SUCCEEDED and run.fault is not None:
            self._tell_fault(run, "dies after converging")
        self._active[run.tier] -= 1
        self._endings[run.tier][run.ending] += 1
        if not self._active[run.tier] and run.ending is not RunEnding.CUT_OFF:
            endings = [f"{count} {ending}" for ending, count in self._endings[run.tier].items()]
            endings += [f"{hanging} still hanging"] if hanging else []
            seconds = time.monotonic() - self._since[run.tier]
            self.tell(f"{self._environment}/{run.tier}: runs ended: {', '.join(endings)}, in {seconds:.1f} s")

    def _tell_fault(self, run: NodeRun, what: str) -> None:
        if run.fault is not None:
            self.tell(f"{run.node} {what} ({run.fault.text})")
