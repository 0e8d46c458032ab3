"""Waiting for tiers to converge, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.outcome import Outcome

if TYPE_CHECKING:
    from airflow_provider_chefconsul.triggers.stoppable import Stoppable

# A deferral and its resumption cost 2 to 3 seconds: a wait that may be over by then stays in the worker.
PATIENCE = timedelta(seconds=5)
_CONSUL_PATIENCE = timedelta(seconds=5)  # then the log says that Consul is away; the wait itself goes on
DEFERRAL_SLACK = timedelta(minutes=2)  # past the deadline the scheduler ends a wait whose triggerer is gone


class ConvergedTrigger(BaseTrigger):
    """
    Waits until tiers have converged. It makes nothing in Consul, so there is nothing to clean up.

    The deadlines in ``waits`` are absolute: a restarted triggerer goes on with what is left of them.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the tiers' environment.
    :param waits: by tier, the JSON form of a :class:`Wait`.
    :param policy: the JSON form of a :class:`ConvergencePolicy`.
    :param members: as Dag authors write it.
    :param holder: the Dag run whose lease, if it has one, the wait renews: ``{"dag_id", "run_id"}``.
    """

    def __init__(
        self,
        *,
        consul_conn_id: str,
        environment: str,
        waits: Mapping[str, Mapping[str, Any]],
        policy: Mapping[str, Any],
        members: str | Sequence[str],
        holder: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id
        self.environment = environment
        self.waits = {tier: Wait.from_fields(wait) for tier, wait in waits.items()}
        self.policy = ConvergencePolicy.from_fields(policy)
        self.members = members
        self.holder = DagRun(**holder) if holder else None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where this class is, and its parameters as JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "consul_conn_id": self.consul_conn_id,
                "environment": self.environment,
                # What is stored here is as old as the deferral when a triggerer restarts: it says nothing of whether
                # the policy has been met without a break since, so that is watched anew.
                "waits": {tier: replace(wait, holding_since=None).to_fields() for tier, wait in self.waits.items()},
                "policy": self.policy.to_fields(),
                "members": self.members,
                "holder": asdict(self.holder) if self.holder else None,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the outcome."""
        outcome = await self.attend(until=None)
        assert outcome is not None  # without a limit of its own, a wait ends with an outcome
        yield TriggerEvent(outcome.to_fields())

    async def attend(self, *, until: datetime | None) -> Outcome | None:
        """Wait until there is an outcome, or until ``until``; what was seen meanwhile is remembered in ``waits``."""
        from airflow_provider_chefconsul.consul.lease import keeping
        from airflow_provider_chefconsul.consul.wait import find_early_failures, wait_for_tiers

        try:
            async with (
                ConsulHook(self.consul_conn_id).open_view(patience=_CONSUL_PATIENCE) as view,
                keeping(view, self.environment, self.holder),
            ):
                results = await wait_for_tiers(
                    view,
                    self.environment,
                    self.waits,
                    {tier: parse_members(self.members, tier) for tier in self.waits},
                    self.policy,
                    until=until,
                    on_progress=self.log.info,
                )
                early_failures = await find_early_failures(view, self.environment, results)
        except ChefConsulError as error:
            return Outcome.from_error(error)
        self.waits |= {tier: result.wait for tier, result in results.items()}
        return Outcome.from_results(self.environment, results, early_failures)


def wait_or_defer(operator: Stoppable, trigger: ConvergedTrigger, *, deferrable: bool) -> Outcome:
    """Wait in the worker; when ``deferrable``, only for a moment, then hand over to the triggerer.

    Deferring raises, and the operator's ``execute_complete`` is called with the trigger's event.
    """
    outcome = operator.run_here(trigger.attend(until=datetime.now(UTC) + PATIENCE if deferrable else None))
    if outcome is None:
        last_deadline = max(wait.deadline for wait in trigger.waits.values())
        operator.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=last_deadline - datetime.now(UTC) + DEFERRAL_SLACK,
        )
    return outcome


async def begin_wait(
    consul_conn_id: str,
    environment: str,
    tiers: Sequence[str],
    *,
    generations: Mapping[str, int] | None,
    policy: ConvergencePolicy,
    members: str | Sequence[str],
    timeout: timedelta,
    is_first_try: bool,
    nudged_at: int | None = None,
    holder: DagRun | None = None,
) -> ConvergedTrigger:
    """Describe a wait for tiers that begins now.

    :param generations: by tier; None is all that each tier is assigned now, two while a canary is out.
    :param timeout: how long this try may take.
    :param is_first_try: whether failures that were reported before now count; on a later try they are history.
    :param nudged_at: the index of a nudge that belongs to this try; only failures up to it are history then.
    :param holder: the Dag run that waits; its lease is renewed meanwhile.
    :raises InvalidInput: ``members`` is not of its form, or names nodes that Consul does not list.
    :raises NoDesiredState: a tier has none, and no generation was given.
    :raises MalformedDocument: it cannot be read.
    """
    from airflow_provider_chefconsul.consul.wait import begin_waits

    selectors = {tier: parse_members(members, tier) for tier in tiers}
    async with ConsulHook(consul_conn_id).open_view() as view:
        waits = await begin_waits(
            view,
            environment,
            tiers,
            generations=generations,
            timeout=timeout,
            selectors=selectors,
            is_first_try=is_first_try,
            nudged_at=nudged_at,
        )
    return ConvergedTrigger(
        consul_conn_id=consul_conn_id,
        environment=environment,
        waits={tier: wait.to_fields() for tier, wait in waits.items()},
        policy=policy.to_fields(),
        members=members,
        holder=asdict(holder) if holder else None,
    )
