"""Waiting for a tier's nodes to report that they have converged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, conf
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import (
    check_generation,
    check_members,
    check_switch,
    check_tier_path,
    parse_generations,
)
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.triggers.converging import ConvergingOperator, WaitRequest

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.triggers.outcome import Outcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

_NUDGE_KEY = "nudge"  # the beginning of the nudge that the sensor's last try knew of


class ConvergedSensor(ConvergingOperator, BaseSensorOperator):
    """
    Waits until the nodes of a tier have reported that they converged on a generation.

    A node has converged when its own report carries the generation and the state that it was assigned. The sensor fails
    at once when more nodes failed than the policy allows, when a newer generation supersedes the one it waits for, and
    when the tier has no members; its log then names each node that held it up, and why. These verdicts are final:
    Airflow's ``retries`` are for a lost worker or a Consul that stays away.

    Consul is watched, not polled, so ``poke_interval`` and ``mode`` have no effect. Airflow's ``timeout`` applies when
    it is shorter than the policy's; ``soft_fail`` skips instead of failing.

    On a retry, and after the task was cleared, a failure that was reported before is history: the node's next run
    decides.

    Returns ``{tier: {"generation", "members", "counts", "nodes"}}``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several, all of which must have converged (templated).
    :param policy: when a tier counts as converged; see :class:`ConvergencePolicy`.
    :param members: who belongs to the tier: ``"service"`` (the Consul service named like the tier),
        ``"service:NAME"``, ``"meta:KEY=VALUE"`` or a list of node names (templated).
    :param generation: the generation to wait for, a number or the mapping that a ``SetDesiredStateOperator`` returns;
        None is all that the tier is assigned when the try begins, two while a canary is out (templated).
    :param nudged_by: id of the ``ConsulExecChefOperator`` task before this sensor. When it ran again since this
        sensor's last try, failures that were reported after it began count at once (needs Airflow 3.3).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = ("environment", "tier", "members", "generation", "consul_conn_id")
    operator_extra_links = LINKS
    ui_color = "#dcefe3"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        policy: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        generation: int | str | Mapping[str, int] | XComArg | None = None,
        nudged_by: str | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_tier_path(environment, tier)
        check_members(members)
        check_generation(generation)
        self.environment = environment
        self.tier = tier
        self.policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
        self.members = members
        self.generation = generation
        self.nudged_by = nudged_by
        self._has_generation = generation is not None
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for an outcome, here or by deferring."""
        tiers = check_tiers(self.environment, self.tier)
        request = WaitRequest(
            tiers,
            self.policy,
            parse_generations(self.generation, tiers) if self._has_generation else None,
            timeout=min(self.policy.timeout, timedelta(seconds=self.timeout)),
            nudged_at=self._nudged_again(context),
        )
        return self._settle(self.run_or_defer(self._wait(context, request)))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:  # noqa: ARG002 Airflow's call
        """Resume with the outcome that the trigger sent."""
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        return self._settle(Outcome.from_event(event))

    async def _wait(self, context: Context, request: WaitRequest) -> Outcome | WaitingTrigger[Outcome]:
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            return await self.converge(context, view, request)

    def _nudged_again(self, context: Context) -> int | None:
        """Consul's index before a nudge that ran since this sensor's last try; None when there was none."""
        store = context.get("task_state_store")  # since Airflow 3.3; unlike XComs, it outlives a try
        if self.nudged_by is None or store is None:
            return None
        last, now = store.get(_NUDGE_KEY), _pull_beginning(context, self.nudged_by)
        if now is not None:
            store.set(_NUDGE_KEY, now)
        return now["index"] if now and last and now != last else None

    def _settle(self, outcome: Outcome) -> dict[str, Any]:
        try:
            return self.settle(outcome)
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                self.log.warning("Skipped: %s", error)  # Airflow itself hides why a task was skipped
                raise AirflowSkipException(str(error)) from error
            raise


def _pull_beginning(context: Context, nudged_by: str) -> Any:
    """The XCom of the nudge that belongs to this task instance; None when there is none.

    In a mapped group it is the nudge of the same map index; the nudge of a mapped sensor may also not be mapped.
    """
    from airflow_provider_chefconsul.triggers.nudge import BEGINNING_KEY

    instance = context["ti"]
    for map_index in dict.fromkeys((instance.map_index, -1)):
        found = instance.xcom_pull(task_ids=nudged_by, key=BEGINNING_KEY, map_indexes=map_index)
        if found is not None:
            return found
    return None
