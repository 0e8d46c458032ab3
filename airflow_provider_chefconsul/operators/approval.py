"""Asking a person for approval before a wave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.model.desired import Canary, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import RolloutAborted
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import RolloutBoardLink
from airflow_provider_chefconsul.operators.change import CHANGE_FIELDS, ChangeOperator
from airflow_provider_chefconsul.triggers.approval import ApprovalTrigger
from airflow_provider_chefconsul.triggers.writer import holder_of, writer_of

try:
    from airflow.sdk.exceptions import TaskAwaitingInput as Parked
except ImportError:  # before Airflow 3.3
    Parked = TaskDeferred  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.explanation.question import Question
    from airflow_provider_chefconsul.domain.write.change import Change

POLL = timedelta(seconds=2)  # since Airflow 3.3 an answer resumes the task by itself


class ApproveWaveOperator(ChangeOperator, ApprovalOperator):
    """
    Asks in Airflow's UI whether a wave of a rollout may begin, and says what it does: how state and values change, on
    how many nodes and which, how the nodes are doing that have the change already, and how long an answer may take.

    It renews the lease of its Dag run while it waits. A rejection is final, and so is no answer in time: the task fails
    without retries.

    Parameters are those of Airflow's ``ApprovalOperator``, and those of the ``SetDesiredStateOperator`` that the wave
    begins with:

    :param wave: the wave's number, from 1.
    :param waves: the number of waves.
    :param subject: the question; when empty, one that says what the wave does (templated).
    :param body: text to put before the description of the wave (templated).
    """

    operator_extra_links = (RolloutBoardLink(),)
    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, *CHANGE_FIELDS)

    def __init__(
        self,
        *,
        wave: int,
        waves: int,
        subject: str = "",
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=subject, fail_on_reject=True, consul_conn_id=consul_conn_id, **kwargs)
        self.wave = wave
        self.waves = waves

    def execute(self, context: Context) -> None:
        """Ask, and wait for the answer in the triggerer."""
        from airflow_provider_chefconsul.domain.write.decision import Write

        [tier] = check_tiers(self.environment, self.tier)
        question, canary = self.run_here(self._prepare(tier, self.parse_change(context)))
        if isinstance(question.refusal, RolloutAborted):
            raise AirflowFailException(str(question.refusal))
        decision = question.planned.decision
        moves = isinstance(decision, Write) and decision.assigns
        if canary is None and question.refusal is None and not moves:
            self.log.info("There is nothing left to approve: %s/%s has it already", self.environment, tier)
            return
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
            instance = context["ti"]
            self.defer(
                trigger=ApprovalTrigger(
                    consul_conn_id=self.consul_conn_id,
                    environment=self.environment,
                    holder=holder_of(context),
                    rollout=None if canary is None else (tier, canary),
                    ti_id=instance.id,
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
        """Go on when the answer is yes, or when the rollout was promoted meanwhile.

        :raises AirflowFailException: the wave was rejected, the rollout was aborted, or nobody answered in time; there
            is no retry.
        """
        if "is_promoted" in event:
            if not event["is_promoted"]:
                raise AirflowFailException(event["reason"])
            self.log.info("There is nothing left to approve: %s", event["reason"])
            return None
        wave = f"{self.environment}/{self.tier}: wave {self.wave} of {self.waves}"
        user = event.get("responded_by_user")
        by = f"by {user['name'] or user['id']}" if user else "because nobody answered in time"
        try:
            answer = super().execute_complete(context, event)
        except HITLRejectException:
            self._tell(context, JournalAct.REJECTED, by)
            raise AirflowFailException(f"{wave} was rejected {by}") from None
        except HITLTimeoutError:
            self._tell(context, JournalAct.REJECTED, f"nobody answered within {self.response_timeout}")
            raise AirflowFailException(f"{wave}: nobody answered within {self.response_timeout}") from None
        self._tell(context, JournalAct.APPROVED, by)
        return answer

    def _tell(self, context: Context, act: JournalAct, reason: str) -> None:
        from airflow_provider_chefconsul.operators.wave_journal import journal_answer

        size = "100%" if self.canary is None else str(Wave.parse(self.canary))
        wave = JournalWave(size, self.wave, self.waves)
        answer = journal_answer(
            self.consul_conn_id, self.environment, self.tier, writer_of(context), act, wave=wave, reason=reason
        )
        self.run_here(answer)

    async def _prepare(self, tier: str, change: Change) -> tuple[Question, int | None]:
        """The question, and the generation of the canary that is out."""
        from airflow_provider_chefconsul.consul.rollout_plan import plan_rollout
        from airflow_provider_chefconsul.domain.explanation.question import Question

        selector = parse_members(self.members, tier)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            found = await plan_rollout(view, self.environment, change, {tier: selector})
            snapshot = await view.snapshot(self.environment, tier, selector)
        question = Question(
            f"{self.environment}/{tier}", self.wave, self.waves, found.tiers[tier].waves[0], snapshot, found.refusal
        )
        match snapshot.desired:
            case DesiredState(canary=Canary(assignment=assignment)):
                return question, assignment.generation
        return question, None
