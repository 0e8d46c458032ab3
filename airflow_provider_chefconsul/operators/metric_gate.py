"""A gate that asks Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_chefconsul.domain.gate.analysis import Analysis, check_length, check_whole
from airflow_provider_chefconsul.domain.gate.condition import MetricCondition
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import check_switch, is_literal
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers import stoppable
from airflow_provider_chefconsul.triggers.writer import holder_of, writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.triggers.metric_gate import GateOutcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class MetricGateOperator(stoppable.Stoppable):
    """
    Measures a metric in Prometheus, and fails when too many measurements do not meet a condition.

    For the time between two waves of a rollout; see the ``gate`` of ``rollout``. The parameters are those of Argo
    Rollouts' analysis. When a limit is exceeded the task fails without retries. A measurement is inconclusive when the
    query yields no data, NaN or several series.

    Measurements are taken for fixed moments, reckoned from the beginning of the try. A triggerer that restarts asks
    Prometheus again for those that were due before, as of then, so that neither a failure nor the time is lost. While
    it waits, it renews the lease of its Dag run.

    When somebody aborts the rollout meanwhile, the task fails with the reason, without retries; when somebody promotes
    it, there is nothing left to measure, and the gate passes.

    Returns the measurements: ``[{"at", "assessment", "value", "reason"}]``; none after a promotion.

    :param environment: the environment that the Dag run works on, for its lease (templated).
    :param query: PromQL that yields a single number (templated).
    :param condition: what the number must satisfy: ``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=`` and a number, such as
        ``"< 0.01"`` (templated).
    :param count: how many measurements to take.
    :param interval: from one measurement to the next.
    :param initial_delay: until the first one. At least as long as the range of the query, or it also sees what was
        before the wave.
    :param failure_limit: how many measurements may fail.
    :param inconclusive_limit: how many may be inconclusive.
    :param consecutive_error_limit: how many times in a row Prometheus may fail to answer.
    :param timeout: how long a request may take.
    :param prometheus_conn_id: id of a connection of type ``http`` (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param rollout_tier: the tier whose rollout the gate belongs to; ``rollout`` gives its own to its gates, unless that
        comes from a mapping or an XCom (templated).
    :param deferrable: whether to wait in the triggerer; what takes a few seconds only is done in the worker.
    """

    template_fields: Sequence[str] = (
        "environment",
        "query",
        "condition",
        "prometheus_conn_id",
        "consul_conn_id",
        "rollout_tier",
    )
    ui_color = "#fdf3d6"

    def __init__(
        self,
        *,
        environment: str,
        query: str,
        condition: str,
        count: int = 1,
        interval: timedelta = timedelta(minutes=1),
        initial_delay: timedelta = timedelta(0),
        failure_limit: int = 0,
        inconclusive_limit: int = 0,
        consecutive_error_limit: int = 4,
        timeout: timedelta = timedelta(seconds=30),
        prometheus_conn_id: str = "prometheus_default",
        consul_conn_id: str = ConsulHook.default_conn_name,
        rollout_tier: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if is_literal(environment):
            check_name("environment", environment)
        if rollout_tier is not None and is_literal(rollout_tier):
            check_name("rollout_tier", rollout_tier)
        if is_literal(condition):
            MetricCondition.parse(condition)
        if is_literal(query):
            _check_query(query)
        self.environment = environment
        self.query = query
        self.condition = condition
        self.analysis = Analysis(count, interval, initial_delay, failure_limit, inconclusive_limit)
        self.consecutive_error_limit = check_whole("consecutive_error_limit", consecutive_error_limit, at_least=0)
        self.timeout = check_length("timeout", timeout)
        self.prometheus_conn_id = prometheus_conn_id
        self.consul_conn_id = consul_conn_id
        self.rollout_tier = rollout_tier
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Measure until there is an outcome, here or by deferring."""
        check_name("environment", self.environment)
        query, condition = _check_query(self.query), MetricCondition.parse(self.condition)
        self.log.info("%s %s, measured %s", one_line(query), condition, self.analysis)
        return self._settle(self.run_or_defer(self._measure(context, query, condition)))

    def execute_complete(self, context: Context, event: Any = None) -> list[dict[str, str]]:  # noqa: ARG002 Airflow's call
        """Resume with the outcome that the trigger sent."""
        from airflow_provider_chefconsul.triggers.metric_gate import GateOutcome

        return self._settle(GateOutcome.from_event(event))

    async def _measure(
        self, context: Context, query: str, condition: MetricCondition
    ) -> GateOutcome | WaitingTrigger[GateOutcome]:
        from airflow_provider_chefconsul.consul.steered import find_gated_rollout
        from airflow_provider_chefconsul.triggers.metric_gate import MetricGateTrigger, read_prometheus_settings

        # Where it cannot be used, that is this task's error, rather than a trigger's.
        await read_prometheus_settings(self.prometheus_conn_id)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            rollouts = {}
            if self.rollout_tier is not None:
                tier = check_name("rollout_tier", self.rollout_tier)
                rollouts = await find_gated_rollout(view, self.environment, tier, writer_of(context))
            trigger = MetricGateTrigger(
                consul_conn_id=self.consul_conn_id,
                environment=self.environment,
                holder=holder_of(context),
                rollouts=rollouts,
                prometheus_conn_id=self.prometheus_conn_id,
                query=query,
                condition=str(condition),
                analysis=self.analysis.to_fields(),
                begun_at=datetime.now(UTC).isoformat(),
                consecutive_error_limit=self.consecutive_error_limit,
                timeout=self.timeout.total_seconds(),
            )
            if self.deferrable and trigger.last_due > datetime.now(UTC) + stoppable.PATIENCE:
                return trigger
            return await self.wait_here(trigger, view)

    def _settle(self, outcome: GateOutcome) -> list[dict[str, str]]:
        if outcome.error:
            raise ChefConsulError(outcome.error)
        if outcome.failure:
            raise AirflowFailException(outcome.failure)
        if outcome.promoted:
            self.log.info("There is nothing left to measure: %s", outcome.promoted)
        return [each.to_fields() for each in outcome.measurements]


def _check_query(query: object) -> str:
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput(f"query must be PromQL, not {query!r}")
    return query
