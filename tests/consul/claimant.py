"""A node that needs a slot, as tests play it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.report import WaitsFor
from tests.support.factory import make_assignment


@dataclass
class Player:
    """Wants what a test says."""

    node: str
    group: str = ""
    node_id: str | None = None
    run_id: str = "r1"
    wanted: Assignment | None = field(default_factory=lambda: make_assignment(pace=AssignmentPace(1)))
    said: list[WaitsFor] = field(default_factory=list)

    def want(self) -> Assignment | None:
        """What it would converge on now."""
        return self.wanted

    def say_behind(self, waits_for: WaitsFor) -> None:
        """Keep what it would report."""
        self.said.append(waits_for)
