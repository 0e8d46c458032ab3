"""Running a command on nodes from the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_chefconsul.consul.remote_exec import NodeResult, execute
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook


class RemoteExecTrigger(BaseTrigger):
    """
    Runs a command on nodes by Consul's remote execution, and sends each node's result.

    Cancelled (its task was cleared, marked or the triggerer stops), it destroys its session and deletes its keys.
    Started again with the same ``job_id``, it finds the nodes that already ran, and waits for those that still do.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param command: a shell command line.
    :param nodes: names of the nodes to run it on.
    :param job_id: names the job on the nodes, so that none runs it twice.
    :param deadline: ISO 8601 with offset; when to come back with the results there are.
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param prefix_per_node: key prefix for clusters whose nodes may write below their own name only.
    """

    def __init__(
        self,
        *,
        consul_conn_id: str,
        command: str,
        nodes: Sequence[str],
        job_id: str,
        deadline: str,
        max_parallel: int | None = None,
        prefix_per_node: str | None = None,
    ) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id
        self.command = command
        self.nodes = list(nodes)
        self.job_id = job_id
        self.deadline = deadline
        self.max_parallel = max_parallel
        self.prefix_per_node = prefix_per_node

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where this class is, and its parameters as JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "consul_conn_id": self.consul_conn_id,
                "command": self.command,
                "nodes": self.nodes,
                "job_id": self.job_id,
                "deadline": self.deadline,
                "max_parallel": self.max_parallel,
                "prefix_per_node": self.prefix_per_node,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the command, and send the results."""
        try:
            results = await self.attend()
        except ChefConsulError as error:
            yield TriggerEvent({"error": f"{type(error).__name__}: {error}", "results": {}})
        else:
            yield TriggerEvent({"error": "", "results": {node: asdict(result) for node, result in results.items()}})

    async def attend(self) -> dict[str, NodeResult]:
        """Run the command and wait for the nodes' results."""
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            return await execute(
                view.client,
                self.command,
                self.nodes,
                job_id=self.job_id,
                deadline=datetime.fromisoformat(self.deadline),
                max_parallel=self.max_parallel,
                prefix_per_node=self.prefix_per_node,
                on_progress=self.log.info,
            )
