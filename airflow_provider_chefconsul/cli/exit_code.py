"""The exit codes of the commands."""

from __future__ import annotations

from enum import IntEnum

from airflow_provider_chefconsul.exceptions import (
    ChefConsulError,
    InvalidInput,
    NoDesiredState,
    NoMembers,
    NotDeclared,
    UnusableConnection,
    WriteRefused,
)


class ExitCode(IntEnum):
    """The exit codes that scripts can rely on."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_CONVERGED = 3
    REFUSED = 4
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143


MEANINGS = """\
exit codes:
  0    done; for status, explain and --wait: converged
  1    error: Consul or the connection is unavailable or unusable, or a document cannot be read
  2    invalid usage
  3    not converged; no such environment, tier or node; or, for unfreeze, still frozen
  4    refused: stale, leased, frozen, not confirmed, not allowed from the present state, nothing to go back to or
       to promote, or no members; nothing was written
  130  interrupted by Ctrl-C
  141  the reader of the output has gone
  143  terminated by SIGTERM"""


def exit_code_of(error: ChefConsulError) -> ExitCode:
    """The exit code of a command that ended with an error."""
    match error:
        case UnusableConnection():
            return ExitCode.ERROR
        case InvalidInput():
            return ExitCode.USAGE
        case WriteRefused() | NoMembers():
            return ExitCode.REFUSED
        case NotDeclared() | NoDesiredState():
            return ExitCode.NOT_CONVERGED
        case _:
            return ExitCode.ERROR
