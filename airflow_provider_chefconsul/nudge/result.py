"""What became of a command on a node, however it got there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CommandOutcome(StrEnum):
    """What became of the command on a node."""

    EXITED = "exited"
    UNACKNOWLEDGED = "unacknowledged"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What a node said of the command.

    :param outcome: EXITED with an exit code; UNACKNOWLEDGED: the node could not be reached or did not answer, because
        it is down or does not let the command in; SILENT: it started, and has not said how it ended.
    :param exit_code: the command's; negative when the shell around it was killed; 126, 127 and 137 may also be the
        guard's (see ``nudge.guard``), which says so in the output.
    :param output: the end of what was printed, when the exit code is not 0. For people, never to be parsed.
    :param reason: why it did not exit, where that is known. For people, too.
    """

    node: str
    outcome: CommandOutcome
    exit_code: int | None = None
    output: str = ""
    reason: str = ""
