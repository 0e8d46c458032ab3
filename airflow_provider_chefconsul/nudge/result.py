"""What became of a command on a node, however it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LONGEST_OUTPUT = 2000  # bytes; the end of what the command printed
CHECK_REMOTE_EXEC = "is its agent's remote execution enabled?"
"""What to check when a node does not answer an event of remote execution."""

NO_SHELL = "it printed nothing: perhaps its agent could not start /bin/sh, as on Windows"
"""What Consul does not say: an agent that cannot start a command publishes an exit code alone."""


class CommandOutcome(StrEnum):
    """How the command ended on a node, or that nobody knows."""

    EXITED = "exited"
    UNACKNOWLEDGED = "unacknowledged"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What is known of the command on one node.

    :param outcome: EXITED with an exit code; UNACKNOWLEDGED: the node could not be reached or did not answer, because
        it is down or refuses the command; SILENT: the command started, and how it ended is unknown.
    :param exit_code: the command's; negative when the shell around it was killed; 126, 127 and 137 may also be the
        guard's (see ``nudge.guard``), which says so in the output.
    :param output: the end of what was printed, when the exit code is not 0. For people, never parsed.
    :param reason: why it did not exit or could not start, if known. For people, never parsed.
    """

    node: str
    outcome: CommandOutcome
    exit_code: int | None = None
    output: str = ""
    reason: str = ""


def describe_trouble(result: NodeResult, command: str, *, unanswered: str) -> str | None:
    """What a task's log should warn of; None when the command exited with 0.

    :param unanswered: what to check when a node does not answer.
    """
    match result.outcome:
        case CommandOutcome.EXITED if result.exit_code != 0:
            why = f"; {result.reason}" if result.reason else ""
            return f"{result.node}: {command!r} exited with {result.exit_code}{why}\n{result.output}"
        case CommandOutcome.UNACKNOWLEDGED:
            return f"{result.node}: no answer; {result.reason or unanswered}"
        case CommandOutcome.SILENT:
            why = f" ({result.reason})" if result.reason else ""
            return f"{result.node}: began {command!r} and has not said how it ended{why}"
        case _:
            return None


def summarize(phases: Iterable[StrEnum], order: Iterable[StrEnum], failed: int) -> str:
    """How many nodes are in each phase, in one line: "of 5 nodes 1 running, 4 exited (2 with an error)"."""
    counts = Counter(phases)
    parts = ", ".join(f"{counts[phase]} {phase}" for phase in order if counts[phase])
    return f"of {counts.total()} nodes {parts}" + (f" ({failed} with an error)" if failed else "")
