"""Declaring what tiers should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.domain.model.desired import Scalar
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import Selector, parse_members
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import check_members, check_place, check_switch
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.domain.write.change import Change, parse_change
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput, LeaseLost, StaleWrite
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import DesiredStateLink
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.operators.values import check_written_change, find_texts, keep_texts
from airflow_provider_chefconsul.operators.writing import (
    check_on_stale,
    log_decisions,
    raise_final,
    require_members,
    sequence_of,
    writer_of,
)
from airflow_provider_chefconsul.triggers.converged import begin_wait, wait_or_defer
from airflow_provider_chefconsul.triggers.outcome import Outcome
from airflow_provider_chefconsul.triggers.stoppable import Stoppable

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["RollBackOperator", "SetDesiredStateOperator"]


class SetDesiredStateOperator(Stoppable):
    """
    Declares the desired state of one tier, or of several in one transaction.

    A tier that already desires this is left alone, so a retry never makes a second generation. Nodes whose agents watch
    the key act at once; others on their next Chef run, or when a ``ConsulExecChefOperator`` nudges them.

    With ``canary``, only a part of the tier is assigned the state, and the others keep what they have. Declaring the
    same for more nodes widens it, declaring it without a canary promotes it; nodes that have it already do nothing
    then. Declaring what the others have takes the canary back.

    Returns ``{tier: generation}``.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several (templated).
    :param state: the state, one of those that the tier's recipes know (templated).
    :param values: what recipes need for it: a flat mapping of names to strings, numbers, booleans or null, never a
        secret (templated).
    :param canary: how much of each tier: a number of nodes, a percentage such as ``"10%"`` of those present (rounded
        up), or a list of nodes; None is all of it (templated).
    :param spread: ``"meta:KEY"``: take the canary's nodes from the values of that metadata, such as zones, by turns.
    :param allowed_from: states that a tier may be in now; None in the list stands for a tier that has no desired state
        yet. None instead of a list allows any (templated).
    :param sequence: the logical time that the write belongs to, in seconds since the epoch or as ISO 8601; None is that
        of the Dag run. A write that is older than what stands is stale, and changes nothing (templated).
    :param on_stale: what a stale write does to the task: ``"fail"`` (without retries) or ``"skip"``.
    :param wait: when given, also wait until the tiers have converged by this policy, in the same task.
    :param members: who belongs to the tiers, for ``canary`` and ``wait``; see ``ConvergedSensor`` (templated).
    :param force: make a new generation although nothing differs, so that every node runs and reports again.
    :param allow_empty: declare a tier that has no members yet, where neither ``canary`` nor ``wait`` needs some.
        Without it such a tier, which may be a name mistyped, is refused, and so is a member that Consul does not list.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = (
        "environment",
        "tier",
        "state",
        "values",
        "canary",
        "allowed_from",
        "sequence",
        "members",
        "consul_conn_id",
    )
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
        canary: int | str | Sequence[str] | None = None,
        spread: str | None = None,
        allowed_from: Sequence[str | None] | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        wait: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        force: bool = False,
        allow_empty: bool = False,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if spread is not None:
            if canary is None:
                raise InvalidInput("spread says how a canary is chosen, and there is none")
            Wave.parse(1, spread)  # of the two, only the canary is templated
        check_place(environment, tier)
        check_members(members)
        check_written_change(
            state=state, values=values, canary=canary, spread=spread, allowed_from=allowed_from, sequence=sequence
        )
        self.environment = environment
        self.tier = tier
        self.state = state
        self.values = values
        self._texts = find_texts(values)
        self.canary = canary
        self.spread = spread
        self.allowed_from = allowed_from
        self.sequence = sequence
        self.on_stale = check_on_stale(on_stale)
        self.wait = None if wait is None else check_policy("wait", wait)
        self.members = members
        self.force = check_switch("force", force)
        self.allow_empty = check_switch("allow_empty", allow_empty)
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int]:
        """Write, and wait when a policy says so."""
        tiers = check_tiers(self.environment, self.tier)
        selectors = {tier: parse_members(self.members, tier) for tier in tiers}
        change = self._change(context)
        needs_members = self.wait is not None or self.canary is not None
        self.run_here(
            require_members(
                self.consul_conn_id,
                self.environment,
                selectors,
                allow_empty=self.allow_empty and not needs_members,
                way_out="" if needs_members else "allow_empty=True declares it ahead of its nodes",
            )
        )
        generations = self.run_here(self._write(dict.fromkeys(tiers, change), selectors))
        if self.wait is None:
            return generations
        trigger = self.run_here(
            begin_wait(
                self.consul_conn_id,
                self.environment,
                tiers,
                generations=generations,
                policy=self.wait,
                members=self.members,
                timeout=self.wait.timeout,
                is_first_try=context["ti"].try_number == 1,
                holder=DagRun.of(change.writer),
            )
        )
        return self._settle(wait_or_defer(self, trigger, deferrable=self.deferrable))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:  # noqa: ARG002 Airflow's call
        """Resume with the outcome that the trigger sent."""
        return self._settle(Outcome.from_event(event))

    def _settle(self, outcome: Outcome) -> dict[str, int]:
        return {tier: summary["generation"] for tier, summary in outcome.settle(self.log).items()}

    def _change(self, context: Context) -> Change:
        return parse_change(
            state=self.state,
            writer=writer_of(context),
            values=keep_texts(self.values, self._texts, self.log),
            canary=self.canary,
            spread=self.spread,
            allowed_from=self.allowed_from,
            sequence=sequence_of(context, self.sequence),
            force=self.force,
        )

    async def _write(self, changes: Mapping[str, Change], selectors: Mapping[str, Selector]) -> dict[str, int]:
        from airflow_provider_chefconsul.consul.write import write

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            try:
                plan = await write(view, self.environment, changes, selectors)
            except (StaleWrite, LeaseLost) as error:
                raise_final(self.log, error, self.on_stale)
        log_decisions(self.log, self.environment, plan.decisions)
        return plan.generations
