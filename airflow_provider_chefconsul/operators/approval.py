"""Asking a person before a wave, with what there is to know for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.explanation.question import Question
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import check_members, check_place
from airflow_provider_chefconsul.domain.write.change import parse_change
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.values import find_texts, keep_texts
from airflow_provider_chefconsul.operators.writing import sequence_of, writer_of
from airflow_provider_chefconsul.triggers.approval import ApprovalTrigger

try:
    from airflow.sdk.exceptions import TaskAwaitingInput as Parked
except ImportError:  # before Airflow 3.3
    Parked = TaskDeferred  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.model.desired import Scalar
    from airflow_provider_chefconsul.domain.write.change import Change

POLL = timedelta(seconds=2)  # since Airflow 3.3 an answer resumes the task by itself


class ApproveWaveOperator(ApprovalOperator):
    """
    Asks in Airflow's UI whether a wave of a rollout may begin, and says what it does: the state and the values from and
    to, how many nodes and which, how those that have it already stand, and how long an answer may take.

    It renews the lease of its Dag run while it waits. A rejection is final, and so is no answer in time: the task fails
    without retries.

    Parameters are those of Airflow's ``ApprovalOperator``, and those of the ``SetDesiredStateOperator`` that the wave
    begins with:

    :param wave: the wave's number, from 1.
    :param waves: how many there are.
    :param subject: the question; made of what the wave does when not given (templated).
    :param body: text that goes before what is said of the wave (templated).
    """

    template_fields: Sequence[str] = (
        *ApprovalOperator.template_fields, "environment", "tier", "state", "values", "canary", "members",
        "sequence", "consul_conn_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        environment: str,
        tier: str,
        state: str,
        values: Mapping[str, Scalar] | None = None,
        canary: int | str | Sequence[str] | None = None,
        spread: str | None = None,
        members: str | Sequence[str] = "service",
        sequence: int | str | None = None,
        wave: int,
        waves: int,
        subject: str = "",
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=subject, fail_on_reject=True, **kwargs)
        check_place(environment, tier)
        check_members(members)
        self.environment = environment
        self.tier = tier
        self.state = state
        self.values = values
        self._texts = find_texts(values)
        self.canary = canary
        self.spread = spread
        self.members = members
        self.sequence = sequence
        self.wave = wave
        self.waves = waves
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> None:
        """Say what is asked, and wait for the answer in the triggerer."""
        [tier] = check_tiers(self.environment, self.tier)
        change = parse_change(
            state=self.state,
            writer=writer_of(context),
            values=keep_texts(self.values, self._texts, self.log),
            canary=self.canary,
            spread=self.spread,
            sequence=sequence_of(context, self.sequence),
        )
        question = asyncio.run(self._prepare(tier, change))
        now = datetime.now(UTC)
        expires = now + self.response_timeout if self.response_timeout else None
        self.subject = self.subject or question.subject
        ending = question.describe_ending(expires, self.response_timeout, self.defaults)
        self.body = "\n\n".join(filter(None, [self.body, *question.lines, ending]))
        for line in (self.subject, *question.lines, ending):
            self.log.info(line)
        try:
            super().execute(context)  # stores the question, and tells the notifiers
        except Parked:
            holder = DagRun(context["ti"].dag_id, context["ti"].run_id)
            self.defer(
                trigger=ApprovalTrigger(
                    consul_conn_id=self.consul_conn_id,
                    environment=self.environment,
                    holder=asdict(holder),
                    ti_id=context["ti"].id,
                    options=self.options,
                    defaults=self.defaults,
                    params=self.serialized_params,
                    multiple=self.multiple,
                    timeout_datetime=expires,
                    poke_interval=POLL.total_seconds(),
                ),
                method_name="execute_complete",
            )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the answer is yes.

        :raises AirflowFailException: the wave was rejected, or nobody answered in time; there is no retry.
        """
        what = f"{self.environment}/{self.tier}: wave {self.wave} of {self.waves}"
        try:
            return super().execute_complete(context, event)
        except HITLRejectException:
            user = event.get("responded_by_user")
            by = f"by {user['name'] or user['id']}" if user else "since nobody answered in time"
            raise AirflowFailException(f"{what} was rejected {by}") from None
        except HITLTimeoutError:
            raise AirflowFailException(f"{what}: nobody answered within {self.response_timeout}") from None

    async def _prepare(self, tier: str, change: Change) -> Question:
        from airflow_provider_chefconsul.consul.rollout_plan import plan_rollout

        selector = parse_members(self.members, tier)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            found = await plan_rollout(view, self.environment, change, {tier: selector})
            snapshot = await view.snapshot(self.environment, tier, selector)
        return Question(
            f"{self.environment}/{tier}", self.wave, self.waves, found.tiers[tier].waves[0], snapshot, found.refusal
        )
