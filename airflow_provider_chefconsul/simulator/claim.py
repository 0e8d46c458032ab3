"""A simulated run's claim to a slot of its tier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.report import WaitsFor


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run needs a slot for.

    :param group: simulated nodes have no metadata, so they are one group, whatever ``per`` names.
    :param find_wanted: finds what it would converge on now; None for nothing.
    :param on_behind: called with what it waits for.
    """

    node: str
    tier: str
    node_id: str | None
    run_id: str
    find_wanted: Callable[[], Assignment | None]
    on_behind: Callable[[WaitsFor], None]
    group: str = ""

    def want(self) -> Assignment | None:
        """What it would converge on now; None when it needs no slot any more."""
        return self.find_wanted()

    def say_behind(self, waits_for: WaitsFor) -> None:
        """Report what it waits for."""
        self.on_behind(waits_for)
