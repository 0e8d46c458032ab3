"""What a fleet tells of itself: one line for each thing that somebody would want to know."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.rollout.desired import Assignment, DesiredState
from airflow_provider_chefconsul.simulator.fault import Kind
from airflow_provider_chefconsul.simulator.node import NodeRun


class Progress:
    """The lines: what is desired, each run that does not end well, and how the nodes of a tier ended."""

    def __init__(self, environment: str, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self._environment = environment
        self._active: Counter[str] = Counter()
        self._endings: dict[str, Counter[str]] = {}
        self._since: dict[str, float] = {}

    def desire(self, tier: str, desired: DesiredState | MalformedDocument) -> None:
        """Say what is desired of a tier."""
        text = str(desired) if isinstance(desired, MalformedDocument) else _describe(desired)
        self.tell(f"{self._environment}/{tier}: {text}")

    def note(self, run: NodeRun) -> None:
        """Take note of a run that begins or ends."""
        tier = run.tier
        if run.ending == "running":
            if not self._active[tier]:
                self._endings[tier], self._since[tier] = Counter(), time.monotonic()
            self._active[tier] += 1
            if run.fault is None or run.fault.kind is not Kind.HANGS:
                return
            self.tell(f"{run.node} hangs ({run.fault.text})")
        elif run.ending != "succeeded":
            why = f" ({run.fault.text})" if run.fault and run.ending != "cut off" else ""
            what = {"failed": "fails", "malformed": "reports malformed"}.get(run.ending, "is cut off")
            self.tell(f"{run.node} {what}{why}")
        if run.ending == "cut off" and run.fault is not None and run.fault.kind is Kind.HANGS:
            return  # it was counted when it began to hang
        self._active[tier] -= 1
        self._endings[tier]["hang" if run.ending == "running" else run.ending] += 1
        if not self._active[tier]:
            endings = ", ".join(f"{count} {ending}" for ending, count in self._endings[tier].most_common())
            seconds = time.monotonic() - self._since[tier]
            self.tell(f"{self._environment}/{tier}: all runs have ended: {endings}, in {seconds:.1f} s")


def _describe(desired: DesiredState) -> str:
    text = _describe_assignment(desired.stable)
    return f"{text}; canary {_describe_assignment(desired.canary.assignment)}" if desired.canary else text


def _describe_assignment(assignment: Assignment) -> str:
    values = "".join(f", {name}={value}" for name, value in assignment.values.items())
    return f"generation {assignment.generation} is {assignment.state}{values}"
