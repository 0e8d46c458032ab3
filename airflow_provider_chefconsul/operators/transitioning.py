"""What the operators that make transitions share: how nodes are nudged that have not begun by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.parameter import is_literal
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.nudge.guard import guarded
from airflow_provider_chefconsul.triggers.converging import ConvergingOperator
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.triggers.transition import TransitionTrigger

NUDGE_AFTER = timedelta(seconds=3)
"""How long nodes have to begin by themselves: a watch starts chef-client at once, which reports after 1 to 3 s."""


class TransitioningOperator(ConvergingOperator):
    """Waits for tiers to converge, and meanwhile nudges the nodes that have not begun by themselves."""

    command: str | None
    nudge_after: timedelta
    max_parallel: int | None
    prefix_per_node: str | None

    def make_trigger(self, context: Context, **wait: Any) -> TransitionTrigger:
        """Nudge and wait."""
        from airflow_provider_chefconsul.nudge.request import NudgeRequest, job_of
        from airflow_provider_chefconsul.triggers.transition import TransitionTrigger

        if self.command is None:
            return TransitionTrigger(**wait)
        generations = {tier: fields["generation"] for tier, fields in wait["waits"].items()}
        nudge = NudgeRequest(
            self.command,
            job_of(writer_of(context), self.environment, generations),
            context["ti"].try_number,
            datetime.now(UTC) + self.nudge_after,
            self.max_parallel,
            self.prefix_per_node,
        )
        return TransitionTrigger(**wait, nudge=nudge.to_fields())


def check_command(command: object) -> None:
    """Check a literal command, or one that has been rendered.

    :raises InvalidInput: it is no text, or no node could start it.
    """
    if command is None or not is_literal(command):
        return
    if not isinstance(command, str) or not command.strip():
        raise InvalidInput(f"command must be a shell command line, or None for no nudge, not {command!r}")
    guarded("", command)


def parse_command(command: Any) -> str | None:
    """The command as it was rendered; a template makes "None" of None.

    :raises InvalidInput: it is no text, or no node could start it.
    """
    rendered = None if command == "None" else command
    check_command(rendered)
    return rendered


def check_nudge_after(nudge_after: object) -> timedelta:
    """Return ``nudge_after`` if it is a duration.

    :raises InvalidInput: it is not.
    """
    if isinstance(nudge_after, timedelta) and nudge_after >= timedelta(0):
        return nudge_after
    raise InvalidInput(f"nudge_after must be a timedelta of zero or more, not {nudge_after!r}")
