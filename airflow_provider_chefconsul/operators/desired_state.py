"""Declaring what tiers should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseXCom, conf

from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import check_switch
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.domain.write.window import ChangeWindow, check_window
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.operators.change import CHANGE_FIELDS, ChangeOperator, check_wave, check_written_change
from airflow_provider_chefconsul.operators.hold import Hold, HoldableOperator, check_on_frozen

# Dags import it from here, too.
from airflow_provider_chefconsul.operators.rollback import RollBackOperator as RollBackOperator  # noqa: PLC0414
from airflow_provider_chefconsul.operators.writing import check_not_overwriting, check_on_stale, declare
from airflow_provider_chefconsul.triggers.converging import ConvergingOperator, WaitRequest

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.domain.model.values import Scalar
    from airflow_provider_chefconsul.domain.write.change import Change
    from airflow_provider_chefconsul.triggers.outcome import Outcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class SetDesiredStateOperator(ChangeOperator, ConvergingOperator, HoldableOperator):
    """
    Declares the desired state of one tier, or of several in one transaction.

    A tier that already desires this is left alone, so a retry never makes a second generation. Nodes whose agents watch
    the key act at once; others on their next Chef run, or when a ``ConsulExecChefOperator`` nudges them.

    With ``canary``, only a part of the tier is assigned the state, and the other nodes keep what they have. Declaring
    the same for more nodes widens the canary, and declaring it without ``canary`` promotes it; nodes that have it
    already then do nothing. Declaring what the other nodes have takes the canary back.

    Returns ``{tier: generation}``.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several (templated).
    :param state: the state, one of those that the tier's recipes know (templated).
    :param values: what the recipes need for it: a flat mapping of names to strings, numbers, booleans or null, never a
        secret (templated).
    :param canary: how much of each tier: a number of nodes, a percentage such as ``"10%"`` of those present (rounded
        up), or a list of nodes; None is all of it (templated).
    :param spread: ``"meta:KEY"``: choose the canary's nodes in turn from each value of that metadata, such as a zone.
    :param slots: how many nodes of each tier may converge at one time, whatever starts their runs: a number, or a
        percentage such as ``"5%"`` of the members present now (rounded down, at least one). A node takes a slot before
        it converges, and gives it back after a success. It is written into the desired state, so it also holds while
        Airflow is away; declaring the same with other slots changes only these. None is any number (templated).
    :param per: ``"meta:KEY"``: the slots are those of each value of that metadata, such as a rack.
    :param spread_over: for how long watching nodes begin one after the other, each at a moment of its own, in seconds.
    :param allowed_from: states that a tier may be in now; None in the list stands for a tier that has no desired state
        yet. None instead of a list allows any (templated).
    :param sequence: the logical time that the write belongs to, in seconds since the epoch or as ISO 8601; None is that
        of the Dag run. A write older than the tier's desired state is stale, and changes nothing (templated).
    :param on_stale: what a stale write does to the task: ``"fail"`` (without retries) or ``"skip"``.
    :param on_frozen: what the task does while somebody keeps one of the tiers frozen: ``"wait"`` until that ends, or
        ``"fail"``, with its retries.
    :param wave: which wave of a rollout this is, and of how many, such as ``(2, 3)``; for the journal.
    :param window: when it may write; outside, the task waits for the next opening, and then looks at everything again.
        A task that has nothing to write needs no window. None is at any time.
    :param wait: also wait, in the same task, until the tiers have converged by this policy.
    :param members: who belongs to the tiers, for ``canary`` and ``wait``; see ``ConvergedSensor`` (templated).
    :param force: make a new generation although nothing differs, so that every node runs and reports again.
    :param allow_empty: also declare a tier that has no members yet, unless ``canary`` or ``wait`` needs some. Otherwise
        such a tier is refused, since its name may be mistyped, and so is a listed member that Consul does not know.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = (*CHANGE_FIELDS, "allowed_from")
    template_fields_renderers = {"values": "json"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = LINKS
    ui_color = "#dce6f5"
    log_prefix = ""
    """What the log's lines begin with, in a task that does more than write."""

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        state: str,
        values: Mapping[str, Scalar] | XComArg | None = None,
        canary: int | str | Sequence[str] | None = None,
        spread: str | None = None,
        slots: int | str | None = None,
        per: str | None = None,
        spread_over: timedelta | None = None,
        allowed_from: Sequence[str | None] | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        on_frozen: str = "wait",
        wave: tuple[int, int] | None = None,
        window: ChangeWindow | None = None,
        wait: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        force: bool = False,
        allow_empty: bool = False,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            environment=environment,
            tier=tier,
            state=state,
            values=values,
            canary=canary,
            spread=spread,
            slots=slots,
            per=per,
            spread_over=spread_over,
            sequence=sequence,
            members=members,
            consul_conn_id=consul_conn_id,
            **kwargs,
        )
        check_written_change(allowed_from=allowed_from)
        self.allowed_from = allowed_from
        self.on_stale = check_on_stale(on_stale)
        self.on_frozen = check_on_frozen(on_frozen)
        self.wave = check_wave(wave)
        self.window = check_window(window)
        self.wait = None if wait is None else check_policy("wait", wait)
        self.force = check_switch("force", force)
        self.allow_empty = check_switch("allow_empty", allow_empty)
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int]:
        """Write, and wait when there is a policy to wait by."""
        tiers = check_tiers(self.environment, self.tier)
        change = self.parse_change(context, allowed_from=self.allowed_from, force=self.force, wave=self.wave)
        return self.run_unless_held(lambda: self._declare(context, tiers, change))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:  # noqa: ARG002 Airflow's call
        """Resume with the outcome that the trigger sent."""
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        return self.settle_generations(Outcome.from_event(event))

    async def _declare(
        self, context: Context, tiers: Sequence[str], change: Change
    ) -> dict[str, int] | WaitingTrigger[Outcome] | Hold:
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            if self.wait is not None and context["ti"].try_number > 1:
                await check_not_overwriting(view, self.environment, tiers, change, log=self.log, on_stale=self.on_stale)
            plan = await declare(
                view,
                self.environment,
                tiers,
                change,
                members=self.members,
                needs_members=self.wait is not None or self.canary is not None,
                allow_empty=self.allow_empty,
                on_stale=self.on_stale,
                find_hold=partial(self.find_hold, context),
                hold_frozen=partial(self.hold_frozen, context, tiers),
                log=self.log,
                log_prefix=self.log_prefix,
            )
            if isinstance(plan, Hold):
                return plan
            if self.wait is None:
                return plan.generations
            # What is rolled back, should the wait fail: a task that fails returns nothing.
            if self.do_xcom_push:
                context["ti"].xcom_push(BaseXCom.XCOM_RETURN_KEY, plan.generations)
            request = WaitRequest(tiers, self.wait, plan.generations, new=plan.new)
            ended = await self.converge(context, view, request)
        return self.settle_generations(ended) if isinstance(ended, Outcome) else ended
