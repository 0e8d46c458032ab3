"""Operators that wait for tiers to converge: in the worker, or for a moment there and then in the triggerer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.links import page_of
from airflow_provider_chefconsul.triggers.stoppable import Stoppable
from airflow_provider_chefconsul.triggers.writer import holder_of, writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger
    from airflow_provider_chefconsul.triggers.outcome import Outcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


@dataclass(frozen=True, slots=True)
class WaitRequest:
    """What a task is to wait for, from now on.

    :param generations: by tier; None is all that each tier is assigned now, two while a canary is out.
    :param timeout: how long this try may take; None is the policy's timeout.
    :param nudged_at: the index of a nudge that belongs to this try; on a later try, only failures up to it are history.
    :param new: tiers whose generation this try has made, so that all failures on it count.
    """

    tiers: Sequence[str]
    policy: ConvergencePolicy
    generations: Mapping[str, int] | None = None
    timeout: timedelta | None = None
    nudged_at: int | None = None
    new: Collection[str] = ()


class ConvergingOperator(Stoppable):
    """Waits for tiers to converge."""

    consul_conn_id: str
    environment: str
    tier: str | Sequence[str]
    members: str | Sequence[str]
    wave: tuple[int, int] | None = None
    """Which wave of a rollout the task is, and of how many."""
    outcome: Outcome | None = None
    """How its last wait ended, for notifiers; None before."""
    consul_page: str | None = None
    """What the link to Consul's UI leads to, found while there is a view; None before."""

    async def converge(
        self, context: Context, view: SharedView, request: WaitRequest, **options: Any
    ) -> Outcome | WaitingTrigger[Outcome]:
        """Begin the wait that a task asks for, and wait in the worker.

        On a try after the first, failures that were reported before it are history.

        :param options: further parameters of the trigger that a subclass makes.
        :returns: the outcome; or the trigger that goes on, for :meth:`run_or_defer`.
        :raises InvalidInput: ``members`` is not of its form, or names nodes that Consul does not list.
        :raises NoDesiredState: a tier has none, and no generation was given.
        :raises MalformedDocument: it cannot be read.
        """
        from airflow_provider_chefconsul.consul.wait import begin_waits

        instance = context["ti"]
        if self.consul_page is None:  # its nodes take longer than this
            self.consul_page = await page_of(view, self.environment, self.tier)
        waits = await begin_waits(
            view,
            self.environment,
            request.tiers,
            generations=request.generations,
            timeout=request.policy.timeout if request.timeout is None else request.timeout,
            selectors={tier: parse_members(self.members, tier) for tier in request.tiers},
            is_first_try=instance.try_number == 1,
            nudged_at=request.nudged_at,
            new=request.new,
        )
        trigger = self.make_trigger(
            context,
            consul_conn_id=self.consul_conn_id,
            environment=self.environment,
            waits={tier: wait.to_fields() for tier, wait in waits.items()},
            policy=request.policy.to_fields(),
            members=self.members,
            holder=holder_of(context),
            writer=writer_of(context).to_fields(),
            wave=self.wave,
            begun=datetime.now(UTC).isoformat(),
            **options,
        )
        return await self.wait_here(trigger, view)

    def settle(self, outcome: Outcome) -> dict[str, dict[str, Any]]:
        """Measure how a wait ended, log who held it up, and return the summaries or raise; see ``Outcome.settle``."""
        from airflow_provider_chefconsul.triggers.metrics import measure_wait

        self.outcome = outcome
        measure_wait(self.environment, outcome)
        return outcome.settle(self.log)

    def settle_generations(self, outcome: Outcome) -> dict[str, int]:
        """The same, returning only the generation of each tier."""
        return {tier: summary["generation"] for tier, summary in self.settle(outcome).items()}

    def make_trigger(self, context: Context, **wait: Any) -> ConvergedTrigger:  # noqa: ARG002 subclasses need it
        """The trigger of a wait; a subclass may do more than wait."""
        from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger

        return ConvergedTrigger(**wait)
