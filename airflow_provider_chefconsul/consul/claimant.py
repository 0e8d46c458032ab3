"""Who stands in a line for slots, and how long tickets last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.report import WaitsFor


@dataclass(frozen=True, slots=True)
class TicketTimes:
    """For how many seconds tickets last without being renewed."""

    held: int = 120
    waiting: int = 600
    rebooting: int = 1800


class Claimant(Protocol):
    """A run of a node that needs a slot."""

    @property
    def node(self) -> str:
        """The node's name."""

    @property
    def node_id(self) -> str | None:
        """Consul's id of its machine, if it is known."""

    @property
    def run_id(self) -> str:
        """The run's id."""

    @property
    def group(self) -> str:
        """The group within which it takes a slot."""

    def want(self) -> Assignment | None:
        """What it would converge on now; None when it needs no slot any more."""

    def say_behind(self, waits_for: WaitsFor) -> None:
        """Report what it waits for."""
