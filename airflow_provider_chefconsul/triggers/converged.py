"""Waiting for tiers to converge, in the triggerer or, called by an operator, in a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.outcome import Outcome
from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_CONSUL_PATIENCE = timedelta(seconds=5)  # then the log says that Consul is away; the wait itself goes on


class ConvergedTrigger(WaitingTrigger[Outcome]):
    """
    Waits until tiers have converged. It makes nothing in Consul, so there is nothing to clean up.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the tiers' environment.
    :param waits: by tier, the JSON form of a :class:`Wait`; their deadlines are absolute.
    :param policy: the JSON form of a :class:`ConvergencePolicy`.
    :param members: as Dag authors write it.
    :param holder: the Dag run whose lease, if it has one, the wait renews: ``{"dag_id", "run_id"}``.
    :param writer: who waits, for the journal: the JSON form of a :class:`Writer`; None tells the journal nothing.
    :param wave: which wave of a rollout is waited for, and of how many, for the journal.
    :param begun: ISO 8601 with offset; when the wait began, to measure it. None measures nothing.
    """

    log_prefix = ""
    """What the log's lines begin with, in a task that does more than wait."""

    def __init__(
        self,
        *,
        consul_conn_id: str,
        environment: str,
        waits: Mapping[str, Mapping[str, Any]],
        policy: Mapping[str, Any],
        members: str | Sequence[str],
        holder: Mapping[str, str] | None = None,
        writer: Mapping[str, Any] | None = None,
        wave: Sequence[int] | None = None,
        begun: str | None = None,
    ) -> None:
        from airflow_provider_chefconsul.domain.verdict.wait import Wait

        super().__init__(consul_conn_id=consul_conn_id, environment=environment, holder=holder)
        self.waits = {tier: Wait.from_fields(wait) for tier, wait in waits.items()}
        self.deadline = max(wait.deadline for wait in self.waits.values())
        self.policy = ConvergencePolicy.from_fields(policy)
        self.members = members
        self.writer = None if writer is None else Writer(**writer)
        self.wave = None if wave is None else (wave[0], wave[1])
        self.begun = None if begun is None else datetime.fromisoformat(begun)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        own = {
            # What is stored here is as old as the deferral when a triggerer restarts: it says nothing of whether the
            # policy has been met without a break since, so that is watched anew.
            "waits": {tier: replace(wait, holding_since=None).to_fields() for tier, wait in self.waits.items()},
            "policy": self.policy.to_fields(),
            "members": self.members,
            "writer": self.writer and self.writer.to_fields(),
            "wave": self.wave and list(self.wave),
            "begun": self.begun and self.begun.isoformat(),
        }
        return path, {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the JSON form of the :class:`Outcome`."""
        outcome = await self.wait()
        assert outcome is not None  # without a limit of its own, a wait ends with an outcome
        yield TriggerEvent(outcome.to_fields())

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> Outcome | None:
        """Wait until there is an outcome.

        :returns: the outcome; None when ``until`` came first. What was seen meanwhile is remembered in ``waits``.
        """
        from airflow_provider_chefconsul.consul.verdict_journal import journal_verdicts
        from airflow_provider_chefconsul.consul.wait import find_early_failures, wait_for_tiers

        selectors = {tier: parse_members(self.members, tier) for tier in self.waits}
        try:
            async with self._holding_view(view, patience=_CONSUL_PATIENCE) as opened:
                results = await wait_for_tiers(
                    opened,
                    self.environment,
                    self.waits,
                    selectors,
                    self.policy,
                    until=until,
                    on_progress=lambda line: self.log.info("%s%s", self.log_prefix, line),
                )
                early_failures = await find_early_failures(opened, self.environment, results)
                outcome = Outcome.from_results(self.environment, results, early_failures)
                if outcome is not None and self.writer is not None:
                    await journal_verdicts(
                        opened, self.environment, results, self.writer, selectors=selectors, wave=self.wave
                    )
        except ChefConsulError as error:
            return self._measure(Outcome.from_error(error))
        self.waits |= {tier: result.wait for tier, result in results.items()}
        return self._measure(outcome)

    def _measure(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or self.begun is None:
            return outcome
        return replace(outcome, seconds={"wait": (datetime.now(UTC) - self.begun).total_seconds()})
