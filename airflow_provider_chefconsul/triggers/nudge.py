"""What the triggers that run a command on nodes share: what is known, what is left, and until when."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable
from airflow_provider_chefconsul.nudge.result import CommandOutcome, NodeResult
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_answer
from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

BEGINNING_KEY = "beginning"
"""The XCom with Consul's index before the nudge and the nudge's try: only later failures count in the wait after it."""

Results = Mapping[str, NodeResult]
"""By node, what became of the command there."""


class NudgeTrigger(WaitingTrigger[Results]):
    """
    Runs a command on nodes, and sends each node's result.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the environment of the nodes.
    :param holder: the Dag run whose lease on it, if it has one, is renewed meanwhile: ``{"dag_id", "run_id"}``.
    :param command: a shell command line.
    :param nodes: names of the nodes to run it on.
    :param job_id: names the job on the nodes, so that none runs it twice.
    :param deadline: ISO 8601 with offset; when to end with the results that there are.
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param results: JSON forms of the results that are known already.
    :param begun: ISO 8601 with offset; when the nudge began, to measure it. None measures nothing.
    :param lease: ``environment``, ``dag_id`` and ``run_id`` in one, as an older version stored them.
    """

    def __init__(
        self,
        *,
        consul_conn_id: str,
        environment: str = "",
        holder: Mapping[str, str] | None = None,
        command: str,
        nodes: Sequence[str],
        job_id: str,
        deadline: str,
        max_parallel: int | None = None,
        results: Mapping[str, Mapping[str, Any]] | None = None,
        lease: Mapping[str, str] | None = None,
        begun: str | None = None,
    ) -> None:
        if lease is not None:
            environment, holder = lease["environment"], {name: lease[name] for name in ("dag_id", "run_id")}
        super().__init__(consul_conn_id=consul_conn_id, environment=environment, holder=holder)
        self.command = command
        self.nodes = list(nodes)
        self.job_id = job_id
        self.deadline = datetime.fromisoformat(deadline)
        self.max_parallel = max_parallel
        self.results = _from_fields(results or {})
        self.begun = None if begun is None else datetime.fromisoformat(begun)
        self.seconds: float | None = None
        """How long it took; None while it goes on."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        own = {
            "command": self.command,
            "nodes": self.nodes,
            "job_id": self.job_id,
            "deadline": self.deadline.isoformat(),
            "max_parallel": self.max_parallel,
            "results": _to_fields(self.results),
            "begun": self.begun and self.begun.isoformat(),
        }
        return path, {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the command, and send the results: ``{"error", "results": {node: …}, "seconds"}``."""
        try:
            await self.wait()
        except ChefConsulError as error:
            yield TriggerEvent({"error": describe_error(error), "results": {}})
        else:
            yield TriggerEvent({"error": "", "results": _to_fields(self.results), "seconds": self.seconds})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> Results | None:
        """Run the command on the nodes without a result, and wait for them, at most until the deadline.

        :returns: by node; None when ``until`` came first. Then ``results`` has those that are known; wait again, and
            nodes that run the command are waited for, and do not run it again.
        """
        limit = self.deadline if until is None else min(self.deadline, until)
        rest = [node for node in self.nodes if node not in self.results]
        try:
            async with self._holding_view(view) as opened:
                found, undecided = await self._execute(opened, rest, limit)
        except ConsulUnavailable:
            if limit < self.deadline:
                return None
            raise
        is_over = limit == self.deadline or not undecided
        self.results |= {node: each for node, each in found.items() if is_over or node not in undecided}
        if not is_over:
            return None
        if self.begun is not None:
            self.seconds = (datetime.now(UTC) - self.begun).total_seconds()
        return self.results

    @abstractmethod
    async def _execute(
        self, view: SharedView, nodes: Sequence[str], limit: datetime
    ) -> tuple[dict[str, NodeResult], set[str]]:
        """Run the command on the nodes, once per ``job_id``, and wait at most until ``limit``.

        :returns: what is known of each node, and the nodes of which more time could tell more.
        """


def read_seconds(event: Any) -> float | None:
    """How long the nudge took, where the event tells."""
    seconds = event.get("seconds") if isinstance(event, dict) else None
    return seconds if isinstance(seconds, float) else None


def read_results(event: Any) -> dict[str, NodeResult]:
    """Read the results by node.

    :raises ChefConsulError: the event carries an error, or is not one of these triggers'.
    """
    return read_answer(event, "the results of a command", lambda fields: _from_fields(fields["results"]))


def _to_fields(results: Results) -> dict[str, dict[str, Any]]:
    return {node: {**asdict(each), "outcome": str(each.outcome)} for node, each in results.items()}


def _from_fields(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, NodeResult]:
    return {
        node: NodeResult(
            node, CommandOutcome(each["outcome"]), each["exit_code"], each["output"], each.get("reason", "")
        )
        for node, each in fields.items()
    }
