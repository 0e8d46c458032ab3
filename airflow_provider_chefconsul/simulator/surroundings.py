"""What a simulated node acts on, and what it tells of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from airflow_provider_chefconsul.consul.held_slot import HeldSlot
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.simulator.claim import Claim
from airflow_provider_chefconsul.simulator.fault import Fault


class RunEnding(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MALFORMED = "malformed"
    REBOOTING = "rebooting"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class NodeRun:
    """A run of a node.

    :param ending: ``running`` until it ends, for ever when it hangs; ``malformed`` when it succeeded and its report
        cannot be read; ``rebooting`` when it reboots the node; ``cut off`` when the node went absent or left.
    """

    node: str
    tier: str
    assignment: Assignment
    ending: RunEnding = RunEnding.RUNNING
    fault: Fault | None = None


class Surroundings(Protocol):
    """What a node acts on: its fleet, or a test."""

    def report(self, node: str, text: str) -> None:
        """Write the node's report."""

    async def settle(self) -> None:
        """Wait until all reports so far are written."""

    async def take_slot(self, claim: Claim) -> HeldSlot | None:
        """Wait for a slot; None when none is needed any more."""

    def appear(self, node: str, *, is_new: bool) -> None:
        """Make the node a member that is present."""

    def vanish(self, node: str) -> None:
        """Make the node absent."""

    def leave(self, node: str) -> None:
        """Take the node out of the catalog."""

    def note(self, run: NodeRun) -> None:
        """Record that a run begins or ends."""
