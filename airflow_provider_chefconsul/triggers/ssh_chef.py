"""Running a command on nodes over SSH from the triggerer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.hooks.ssh import DEFAULT_SSH_CONNECTION, execute_over_ssh
from airflow_provider_chefconsul.nudge.result import NodeResult
from airflow_provider_chefconsul.triggers.nudge import NudgeTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


class SSHChefTrigger(NudgeTrigger):
    """
    Runs a command on nodes over SSH, at the addresses that Consul has for them, and sends each node's result.

    Cancelled (its task was cleared, marked or the triggerer stops), it closes its connections; what was started on the
    nodes runs on. Started again with the same ``job_id``, it connects again: nodes that already ran the command give
    its exit code without running it again, and those that still run it are waited for.

    Parameters are those of ``NudgeTrigger``, and:

    :param ssh_conn_id: id of a connection of type ``ssh``.
    """

    def __init__(self, *, ssh_conn_id: str = DEFAULT_SSH_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ssh_conn_id = ssh_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "ssh_conn_id": self.ssh_conn_id}

    async def _execute(
        self, view: SharedView, nodes: Sequence[str], limit: datetime
    ) -> tuple[dict[str, NodeResult], set[str]]:
        from airflow_provider_chefconsul.consul.catalog import read_addresses
        from airflow_provider_chefconsul.nudge.guard import guarded_line
        from airflow_provider_chefconsul.nudge.target import Target

        addresses = await read_addresses(view.client)
        # Nodes may share a machine, so the job is the node's own. In this order those that began get their turn first,
        # so that no more than `max_parallel` run after a restart either.
        targets = {
            node: Target(addresses.get(node, ""), guarded_line(f"{self.job_id}/{node}", self.command)) for node in nodes
        }
        return await execute_over_ssh(
            self.ssh_conn_id,
            targets,
            deadline=limit,
            max_parallel=self.max_parallel,
            on_progress=self.log.info,
        )
