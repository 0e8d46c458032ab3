"""Running a command on nodes by Consul's remote execution from the triggerer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.nudge.result import CommandOutcome, NodeResult
from airflow_provider_chefconsul.triggers.nudge import NudgeTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class RemoteExecTrigger(NudgeTrigger):
    """
    Runs a command on nodes by Consul's remote execution, and sends each node's result.

    Cancelled (its task was cleared, marked or the triggerer stops), it destroys its session and deletes its keys.
    Started again with the same ``job_id``, it finds the nodes that already ran, and waits for those that still do.

    Parameters are those of ``NudgeTrigger``, and:

    :param prefix_per_node: key prefix for clusters whose nodes may write below their own name only.
    """

    def __init__(self, *, prefix_per_node: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix_per_node = prefix_per_node

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "prefix_per_node": self.prefix_per_node}

    async def _execute(
        self, view: SharedView, nodes: Sequence[str], limit: datetime
    ) -> tuple[dict[str, NodeResult], set[str]]:
        from airflow_provider_chefconsul.nudge.remote_exec import run_over_consul

        found = await run_over_consul(
            view.client,
            self.command,
            nodes,
            job_id=self.job_id,
            deadline=limit,
            max_parallel=self.max_parallel,
            prefix_per_node=self.prefix_per_node,
            on_progress=self.log.info,
        )
        return found, {node for node, each in found.items() if each.outcome is not CommandOutcome.EXITED}
