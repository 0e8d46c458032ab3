"""Taking tiers back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import (
    as_list,
    check_members,
    check_place,
    check_switch,
    is_literal,
    parse_generations,
)
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.domain.write.rollback import RollBack, parse_target
from airflow_provider_chefconsul.exceptions import InvalidInput, LeaseLost, StaleWrite
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import DesiredStateLink
from airflow_provider_chefconsul.operators.values import check_sequence
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
    from airflow.sdk import Context, XComArg


class RollBackOperator(Stoppable):
    """
    Takes tiers back to what stood before, or to a generation of their history: the one intended way back.

    While a canary is out, going back takes only the canary back: its nodes return to the generation that the others
    have kept, and those do nothing. Otherwise the old content becomes a new generation. Rolling back twice goes further
    back; a retry does not.

    Returns ``{tier: generation}``, the generation that the nodes go back to.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several in the order in which they were changed: they are taken back in reverse order,
        each when the one after it has converged if there is a ``wait``, else in one transaction (templated).
    :param to: ``"previous"`` or a generation (templated).
    :param only_own: take back only what this Dag run wrote, and treat anything else as stale.
    :param generation: take back only this generation, and treat anything else as stale: a number or the mapping that a
        ``SetDesiredStateOperator`` returns, for a single tier, or a list of such, of which the newest counts. Nothing
        from it means that nothing was written, which is stale, too (templated).
    :param sequence: as in ``SetDesiredStateOperator`` (templated).
    :param on_stale: as in ``SetDesiredStateOperator``.
    :param wait: when given, also wait until the tiers have converged by this policy, in the same task.
    :param members: who belongs to the tiers, for ``wait``; see ``ConvergedSensor`` (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = (
        "environment",
        "tier",
        "to",
        "generation",
        "sequence",
        "members",
        "consul_conn_id",
    )
    operator_extra_links = (DesiredStateLink(),)
    ui_color = "#f5dcdc"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        to: int | str = "previous",
        only_own: bool = False,
        generation: int | str | Mapping[str, int] | XComArg | Sequence[Any] | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        wait: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_place(environment, tier)
        check_members(members)
        if is_literal(to):
            parse_target(to)
        check_sequence(sequence)
        self.environment = environment
        self.tier = tier
        self.to = to
        self.only_own = check_switch("only_own", only_own)
        self.generation = generation
        self._has_generation = generation is not None
        self.sequence = sequence
        self.on_stale = check_on_stale(on_stale)
        self.wait = None if wait is None else check_policy("wait", wait)
        self.members = members
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int]:
        """Take the tiers back, and wait for each when a policy says so."""
        return self._go_on(context, {})

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:
        """Resume with the outcome that the trigger sent, and go on with the next tier."""
        tiers = Outcome.from_event(event).settle(self.log)
        return self._go_on(context, {tier: summary["generation"] for tier, summary in tiers.items()})

    def _go_on(self, context: Context, generations: dict[str, int]) -> dict[str, int]:
        """Take back the tiers that have not been yet.

        :param generations: by tier, what those that have been taken back went back to.
        """
        tiers = check_tiers(self.environment, self.tier)[::-1]
        rollback = RollBack(
            writer_of(context),
            parse_target(self.to),
            sequence_of(context, self.sequence),
            self.only_own,
            self._read_generation(tiers),
        )
        selectors = {tier: parse_members(self.members, tier) for tier in tiers}
        if self.wait is None:
            return self.run_here(self._roll_back(tiers, rollback))
        self.run_here(require_members(self.consul_conn_id, self.environment, selectors))
        for tier in tiers:
            if tier in generations:
                continue
            generations |= self.run_here(self._roll_back([tier], rollback))
            # Those before are waited for again: so the event that a deferral ends with names all that are done.
            trigger = self.run_here(
                begin_wait(
                    self.consul_conn_id,
                    self.environment,
                    list(generations),
                    generations=generations,
                    policy=self.wait,
                    members=self.members,
                    timeout=self.wait.timeout,
                    is_first_try=context["ti"].try_number == 1,
                    holder=DagRun.of(rollback.writer),
                )
            )
            wait_or_defer(self, trigger, deferrable=self.deferrable).settle(self.log)
        return generations

    def _read_generation(self, tiers: Sequence[str]) -> int | None:
        if not self._has_generation:
            return None
        if len(tiers) > 1:
            raise InvalidInput(f"generation is of a single tier, and there are {', '.join(tiers)}")
        # Of several, some may be of an earlier try that was taken back: the newest is what this Dag run wrote last.
        given = as_list(self.generation)
        written = [parse_generations(each, tiers)[tiers[0]] for each in given if each not in (None, "None")]
        if not written:
            error = StaleWrite("what was to be taken back was never written")
            raise_final(self.log, error, self.on_stale)
        return max(written)

    async def _roll_back(self, tiers: Sequence[str], rollback: RollBack) -> dict[str, int]:
        from airflow_provider_chefconsul.consul.write import roll_back

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            try:
                plan = await roll_back(view, self.environment, tiers, rollback)
            except (StaleWrite, LeaseLost) as error:
                raise_final(self.log, error, self.on_stale)
        log_decisions(self.log, self.environment, plan.decisions, done="rolled back")
        return plan.generations
