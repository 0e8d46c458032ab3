"""What the triggers have in common that run a command on nodes: what is known, what is left, and until when."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.nudge.result import CommandOutcome, NodeResult

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

BEGINNING_KEY = "beginning"
"""The XCom with Consul's index before the nudge, and its try: a failure after it is news to the wait that follows."""


class NudgeTrigger(BaseTrigger):
    """
    Runs a command on nodes, and sends each node's result.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param command: a shell command line.
    :param nodes: names of the nodes to run it on.
    :param job_id: names the job on the nodes, so that none runs it twice.
    :param deadline: ISO 8601 with offset; when to come back with the results there are.
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param lease: the environment and the Dag run whose lease on it, if it has one, is renewed meanwhile:
        ``{"environment", "dag_id", "run_id"}``.
    :param results: JSON forms of the results that are known already.
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
        lease: Mapping[str, str] | None = None,
        results: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id
        self.command = command
        self.nodes = list(nodes)
        self.job_id = job_id
        self.deadline = deadline
        self.max_parallel = max_parallel
        self.lease = dict(lease) if lease else None
        self.results = _from_fields(results or {})

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
                "lease": self.lease,
                "results": {node: asdict(each) for node, each in self.results.items()},
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the command, and send the results."""
        try:
            await self.attend()
        except ChefConsulError as error:
            yield TriggerEvent({"error": f"{type(error).__name__}: {error}", "results": {}})
        else:
            yield TriggerEvent({"error": "", "results": {node: asdict(each) for node, each in self.results.items()}})

    async def attend(self, *, patience: timedelta | None = None) -> bool:
        """Run the command on the nodes without a result, and wait for them; ``results`` tells of each.

        :param patience: come back after that long, even before the deadline.
        :returns: whether it is over; when not, attend again, and nodes that run are waited for, not run again.
        """
        deadline = datetime.fromisoformat(self.deadline)
        limit = min(deadline, datetime.now(UTC) + patience) if patience else deadline
        rest = [node for node in self.nodes if node not in self.results]
        try:
            async with ConsulHook(self.consul_conn_id).open_view() as view, self._keeping_lease(view):
                found, undecided = await self._execute(view, rest, limit)
        except ConsulUnavailable:
            if limit < deadline:
                return False
            raise
        is_over = limit == deadline or not undecided
        self.results |= {node: each for node, each in found.items() if is_over or node not in undecided}
        return is_over

    @abstractmethod
    async def _execute(
        self, view: SharedView, nodes: Sequence[str], limit: datetime
    ) -> tuple[dict[str, NodeResult], set[str]]:
        """Run the command on the nodes, once per ``job_id``, and wait at most until ``limit``.

        :returns: what is known of each node, and the nodes of which more time could tell more.
        """

    def _keeping_lease(self, view: SharedView) -> AbstractAsyncContextManager[None]:
        if self.lease is None:
            return nullcontext()
        from airflow_provider_chefconsul.consul.lease import keeping

        holder = DagRun(self.lease["dag_id"], self.lease["run_id"])
        return keeping(view, self.lease["environment"], holder)


def read_results(event: Any) -> dict[str, NodeResult]:
    """Read an event that came back through the database.

    :raises ChefConsulError: it carries an error, or is not what this version's trigger sends.
    """
    try:
        error, results = event["error"], _from_fields(event["results"])
    except (TypeError, KeyError, ValueError, AttributeError) as problem:
        raise ChefConsulError(f"the trigger sent something else than results: {event!r}") from problem
    if error:
        raise ChefConsulError(error)
    return results


def _from_fields(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, NodeResult]:
    return {
        node: NodeResult(
            node, CommandOutcome(each["outcome"]), each["exit_code"], each["output"], each.get("reason", "")
        )
        for node, each in fields.items()
    }
