"""Declaring what tiers should be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, conf

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import DesiredStateLink
from airflow_provider_chefconsul.rollout.change import Change, Unchanged, Write
from airflow_provider_chefconsul.rollout.desired import Scalar, Writer, check_values
from airflow_provider_chefconsul.rollout.membership import parse_members
from airflow_provider_chefconsul.rollout.name import check_name, check_tiers
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.triggers.converged import begin_wait, wait_or_defer
from airflow_provider_chefconsul.triggers.outcome import Outcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class SetDesiredStateOperator(BaseOperator):
    """
    Declares the desired state of one tier, or of several in one transaction.

    A tier that already desires this is left alone, so a retry never makes a second generation. Nodes whose agents watch
    the key act at once; others on their next Chef run, or when a ``ConsulExecChefOperator`` nudges them.

    Returns ``{tier: generation}``.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several (templated).
    :param state: the state, one of those that the tier's recipes know (templated).
    :param values: what recipes need for it: a flat mapping of names to strings, numbers, booleans or null, never a
        secret (templated).
    :param canary: not supported yet; anything but None is refused.
    :param allowed_from: states that a tier may be in now; None in the list stands for a tier that has no desired state
        yet. None instead of a list allows any (templated).
    :param wait: when given, also wait until the tiers have converged by this policy, in the same task.
    :param members: who belongs to the tiers, for ``wait``; see ``ConvergedSensor`` (templated).
    :param force: make a new generation although nothing differs, so that every node runs and reports again.
    :param consul_conn_id: id of a connection of type ``consul``.
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = ("environment", "tier", "state", "values", "allowed_from", "members")
    template_fields_renderers = {"values": "json"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = (DesiredStateLink(),)
    ui_color = "#dce6f5"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        state: str,
        values: Mapping[str, Scalar] | None = None,
        canary: None = None,
        allowed_from: Sequence[str | None] | None = None,
        wait: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        force: bool = False,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if canary is not None:
            raise InvalidInput(f"canary={canary!r}: canaries are not supported by this version; leave canary out")
        self.environment = environment
        self.tier = tier
        self.state = state
        self.values = values
        self.allowed_from = allowed_from
        self.wait = wait
        self.members = members
        self.force = force
        self.consul_conn_id = consul_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, int]:
        """Write, and wait when a policy says so."""
        tiers = check_tiers(self.environment, self.tier)
        for tier in tiers:
            parse_members(self.members, tier)
        change = self._change(context)
        if self.wait is not None:
            asyncio.run(self._check_members(tiers))
        generations = asyncio.run(self._write(dict.fromkeys(tiers, change)))
        if self.wait is None:
            return generations
        trigger = asyncio.run(
            begin_wait(
                self.consul_conn_id,
                self.environment,
                tiers,
                generations=generations,
                policy=self.wait,
                members=self.members,
                timeout=self.wait.timeout,
                is_first_try=context["ti"].try_number == 1,
            )
        )
        return self._settle(wait_or_defer(self, trigger, deferrable=self.deferrable))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:  # noqa: ARG002 Airflow's call
        """Resume with the outcome that the trigger sent."""
        return self._settle(Outcome.from_event(event))

    def _settle(self, outcome: Outcome) -> dict[str, int]:
        return {tier: summary["generation"] for tier, summary in outcome.settle(self.log).items()}

    def _change(self, context: Context) -> Change:
        instance, dag_run = context["ti"], context["dag_run"]
        moment = dag_run.logical_date or dag_run.run_after
        map_index = -1 if instance.map_index is None else instance.map_index
        return Change(
            state=check_name("state", self.state),
            writer=Writer(instance.dag_id, instance.run_id, instance.task_id, map_index),
            values=check_values({} if self.values is None else self.values),
            allowed_from=_check_states(self.allowed_from),
            sequence=int(moment.timestamp()),
            force=self.force,
        )

    async def _check_members(self, tiers: Sequence[str]) -> None:
        """Refuse to write what nobody could converge on."""
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            for tier in tiers:
                await view.require_members(f"{self.environment}/{tier}", parse_members(self.members, tier))

    async def _write(self, changes: Mapping[str, Change]) -> dict[str, int]:
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            decisions = await view.write(self.environment, changes)
        for tier, decision in decisions.items():
            where = f"{self.environment}/{tier}"
            match decision:
                case Write(desired):
                    self.log.info("%s: wrote generation %s, state %s", where, desired.generation, self.state)
                case Unchanged(generation):
                    self.log.info("%s: already desires state %s at generation %s", where, self.state, generation)
        return {tier: decision.generation for tier, decision in decisions.items()}


def _check_states(states: Any) -> list[str | None] | None:
    if states is None:
        return None
    if isinstance(states, str) or not isinstance(states, Sequence):
        raise InvalidInput(f"allowed_from must be a list of states, not {states!r}")
    return [None if state is None else check_name("allowed_from", state) for state in states]
