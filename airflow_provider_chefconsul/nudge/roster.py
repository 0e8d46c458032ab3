"""What is known of each node of a remote execution, and what to do next; time is a parameter, nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from airflow_provider_chefconsul.nudge.result import summarize

AMBIGUOUS_EXIT = 255
"""What an agent publishes that cannot start a command, and one that failed to write a heartbeat while it still runs."""

_FIRST_PATIENCE = 1.0  # seconds until an event is repeated; an acknowledgement takes 0.15 s in the median
_PATIENCE = 2.0  # seconds between later repetitions


class ExecPhase(StrEnum):
    """What is known of a node."""

    QUEUED = "queued"  # no event has been fired for it
    FIRED = "not acknowledged"  # an event was fired, and it has not answered
    RUNNING = "running"
    GIVEN_UP = "given up"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class DueActions:
    """What to do now.

    :param forget: nodes whose keys to delete first, because what they say is not trusted or too old.
    :param fire: nodes to fire an event for.
    :param listen: nodes whose latest sign of life to look up.
    """

    forget: list[str] = field(default_factory=list)
    fire: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    phase: ExecPhase = ExecPhase.QUEUED
    give_up_at: float = 0.0
    fire_at: float = 0.0
    heard_at: float = 0.0
    listened_at: float = 0.0
    sign: int = 0  # Consul's index of its last sign of life
    has_started: bool = False
    is_doubted: bool = False
    exit_code: int | None = None


class Roster:
    """The nodes of one execution. Times are seconds on a clock that the caller advances while Consul answers.

    :param max_parallel: how many nodes may run at once; None for all.
    :param ack_timeout: how long after its first event a node may stay unacknowledged.
    :param silence_timeout: how long a running node may go without a sign of life. After half of it the node is asked
        again, because an agent that once failed to write to Consul stays silent while its command runs on.
    """

    def __init__(
        self, names: Iterable[str], *, max_parallel: int | None, ack_timeout: timedelta, silence_timeout: timedelta
    ) -> None:
        self._nodes = {name: _Node() for name in names}
        self._max_parallel = max_parallel or len(self._nodes)
        self._ack_timeout = ack_timeout.total_seconds()
        self._silence = silence_timeout.total_seconds()

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self._nodes)

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to wait for."""
        return any(node.phase not in {ExecPhase.EXITED, ExecPhase.GIVEN_UP} for node in self._nodes.values())

    @property
    def summary(self) -> str:
        """How many nodes are in each phase, in one line."""
        failed = sum(bool(node.exit_code) for node in self._nodes.values())
        return summarize((node.phase for node in self._nodes.values()), ExecPhase, failed)

    def has_started(self, name: str) -> bool:
        """Whether the node has ever acknowledged an event."""
        return self._nodes[name].has_started

    def exit_code(self, name: str) -> int | None:
        """The node's exit code; None unless it exited."""
        return self._nodes[name].exit_code

    def awaited(self) -> list[str]:
        """The nodes that may still answer; one that was given up may answer late."""
        return [name for name, node in self._nodes.items() if node.phase not in {ExecPhase.QUEUED, ExecPhase.EXITED}]

    def advance(self, now: float) -> DueActions:
        """Move to a time, and say what to do then; the events that it names count as fired."""
        due = DueActions()
        for name, node in self._nodes.items():
            match node.phase:
                case ExecPhase.FIRED if now >= node.give_up_at:
                    node.phase = ExecPhase.GIVEN_UP
                case ExecPhase.FIRED if now >= node.fire_at:
                    node.fire_at = now + _PATIENCE
                    due.fire.append(name)
                case ExecPhase.RUNNING if now - node.heard_at >= self._silence / 2:
                    due.forget.append(name)
                    due.fire.append(name)
                    self._fire(node, now, self._silence / 2)
                case ExecPhase.RUNNING if now - node.listened_at >= self._silence / 6:
                    node.listened_at = now
                    due.listen.append(name)
        active = sum(node.phase in {ExecPhase.FIRED, ExecPhase.RUNNING} for node in self._nodes.values())
        queued = [name for name, node in self._nodes.items() if node.phase is ExecPhase.QUEUED]
        for name in queued[: max(0, self._max_parallel - active)]:
            due.fire.append(name)
            self._fire(self._nodes[name], now, self._ack_timeout)
        return due

    def acknowledge(self, name: str, now: float) -> None:
        """The node has answered an event."""
        node = self._nodes[name]
        if node.phase in {ExecPhase.FIRED, ExecPhase.GIVEN_UP}:
            node.phase, node.has_started, node.sign = ExecPhase.RUNNING, True, 0
            node.heard_at = node.listened_at = now

    def hear(self, name: str, index: int, now: float) -> None:
        """The node's latest sign of life has this index in Consul."""
        node = self._nodes[name]
        if node.phase is ExecPhase.RUNNING and index != node.sign:
            node.sign, node.heard_at = index, now

    def finish(self, name: str, exit_code: int) -> bool:
        """The node has published an exit code; False when it is not believed yet and the node is asked again."""
        node = self._nodes[name]
        node.has_started = True
        if exit_code == AMBIGUOUS_EXIT and not node.is_doubted:
            node.phase, node.is_doubted, node.heard_at = ExecPhase.RUNNING, True, float("-inf")
            return False
        node.phase, node.exit_code = ExecPhase.EXITED, exit_code
        return True

    def restart(self) -> None:
        """Queue again every node that was fired for or runs: the session is lost, and with it what nodes wrote."""
        for node in self._nodes.values():
            if node.phase in {ExecPhase.FIRED, ExecPhase.RUNNING}:
                node.phase = ExecPhase.QUEUED

    @staticmethod
    def _fire(node: _Node, now: float, patience: float) -> None:
        node.phase, node.fire_at, node.give_up_at = ExecPhase.FIRED, now + _FIRST_PATIENCE, now + patience
