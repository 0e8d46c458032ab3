"""What is left of a transition once it is declared: nudge the nodes that have not begun, and wait for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable
from airflow_provider_chefconsul.nudge.request import NudgeRequest
from airflow_provider_chefconsul.nudge.result import CHECK_REMOTE_EXEC, CommandOutcome, describe_trouble
from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger
from airflow_provider_chefconsul.triggers.outcome import Outcome

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_BACKOFF = 1.0  # seconds before another try to read who needs a nudge
_NAMED = 8  # nodes that the log names


class TransitionTrigger(ConvergedTrigger):
    """
    Waits until tiers have converged, and meanwhile nudges the nodes that have not begun by themselves.

    Cancelled, it destroys the nudge's session and deletes its keys. Started again, it finds the nodes that already ran,
    and waits for those that still do.

    Parameters are those of ``ConvergedTrigger``, and:

    :param nudge: the JSON form of a :class:`NudgeRequest`; None nudges nobody.
    :param answered: nodes on which the nudge's command has exited.
    :param is_resumed: whether it goes on with what a worker began.
    :param echo: what the task wants back with the event, beside the outcome; None for nothing.
    """

    log_prefix = "wait: "

    def __init__(
        self,
        *,
        nudge: Mapping[str, Any] | None = None,
        answered: Sequence[str] = (),
        is_resumed: bool = False,
        echo: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.nudge = None if nudge is None else NudgeRequest.from_fields(nudge)
        self.answered = set(answered)
        self.is_resumed = is_resumed
        self.echo = echo
        self.nudged_for: float | None = None
        """Seconds that a nudge took which has ended; None before, and when nobody needed one."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        own = {
            "nudge": self.nudge and self.nudge.to_fields(),
            "answered": sorted(self.answered),
            "is_resumed": True,  # whoever reads it
            "echo": self.echo,
        }
        return path, {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Nudge and wait, and send the JSON form of the :class:`Outcome` with the echo."""
        async for event in super().run():
            yield TriggerEvent({**event.payload, "echo": self.echo})

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> Outcome | None:
        """Nudge and wait until there is an outcome; see ``ConvergedTrigger``."""
        if self.nudge is None:
            return await super().wait(until=until, view=view)
        try:
            async with self._open_view(view) as opened:
                return await self._nudge_and_wait(opened, self.nudge, until)
        except ChefConsulError as error:
            return Outcome.from_error(error)

    async def _nudge_and_wait(self, view: SharedView, nudge: NudgeRequest, until: datetime | None) -> Outcome | None:
        waiting = asyncio.create_task(super().wait(until=until, view=view))
        nudging = asyncio.create_task(self._nudge(view, nudge))
        try:
            await asyncio.wait({waiting, nudging}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                nudging.result()  # a nudge that can never get through ends the wait
            return self._add_nudge(await waiting)
        finally:
            for task in (waiting, nudging):
                task.cancel()
            await asyncio.gather(waiting, nudging, return_exceptions=True)

    def _add_nudge(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or self.nudged_for is None:
            return outcome
        return replace(outcome, seconds={**outcome.seconds, "nudge": self.nudged_for})

    async def _nudge(self, view: SharedView, nudge: NudgeRequest) -> None:
        """Run the command on the nodes that need it, once per attempt and node, and log what came of it."""
        from airflow_provider_chefconsul.nudge.remote_exec import run_over_consul

        await asyncio.sleep((nudge.due - datetime.now(UTC)).total_seconds())
        while True:
            try:
                nodes = await self._choose(view, nudge)
                if not nodes:
                    self.log.info("nudge: nobody needs one")
                    return
                named = list_some(nodes, _NAMED)
                self.log.info("nudge: running %r on %s that have not begun: %s", nudge.command, len(nodes), named)
                results = await run_over_consul(
                    view.client,
                    nudge.command,
                    nodes,
                    job_id=nudge.job_id,
                    attempt=nudge.attempt,
                    deadline=self.deadline,
                    max_parallel=nudge.max_parallel,
                    prefix_per_node=nudge.prefix_per_node,
                    on_progress=lambda line: self.log.info("nudge: %s", line),
                )
                break
            except ConsulUnavailable as error:  # it costs only time: nodes act on what they read
                self.log.warning("nudge: %s; trying again", error)
                await asyncio.sleep(_BACKOFF)
        self.nudged_for = (datetime.now(UTC) - nudge.due).total_seconds()
        for node, result in results.items():
            if result.outcome is CommandOutcome.EXITED:
                self.answered.add(node)
            if trouble := describe_trouble(result, nudge.command, unanswered=CHECK_REMOTE_EXEC):
                self.log.warning("nudge: %s", trouble)

    async def _choose(self, view: SharedView, nudge: NudgeRequest) -> list[str]:
        """The nodes to nudge, as this wait judges them now, in order."""
        selectors = {tier: parse_members(self.members, tier) for tier in self.waits}
        known = {tier: wait.seen_members for tier, wait in self.waits.items()}
        snapshots = await view.snapshots(self.environment, selectors, known=known)
        now = datetime.now(UTC)
        chosen: set[str] = set()
        for tier, wait in self.waits.items():
            _, verdict = wait.observe(snapshots[tier], self.policy, now=now)
            chosen |= {
                name
                for name, node in verdict.status.nodes.items()
                if nudge.needs(node, begun_at=wait.begun_at, is_resumed=self.is_resumed)
            }
        return sorted(chosen - self.answered, key=natural_order)
