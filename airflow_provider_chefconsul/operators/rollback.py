"""Rolling tiers back to what they were before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.domain.parameter import (
    as_list,
    check_members,
    check_switch,
    check_tier_path,
    is_literal,
    parse_generations,
)
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, StaleWrite
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.operators.writing import (
    check_on_stale,
    check_sequence,
    raise_final,
    sequence_of,
    settle_write,
)
from airflow_provider_chefconsul.triggers.converging import ConvergingOperator, WaitRequest
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.write.rollback import RollBack
    from airflow_provider_chefconsul.triggers.outcome import Outcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class RollBackOperator(ConvergingOperator):
    """
    Rolls tiers back to what they were before, or to a generation of their history.

    While a canary is out, only the canary is rolled back: its nodes return to the generation that the others have kept,
    and the others do nothing. Otherwise the old content becomes a new generation. Rolling back twice goes further back;
    a retry does not.

    Returns ``{tier: generation}``, the generation that the nodes go back to.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several in the order in which they were changed. With ``wait`` they are rolled back in
        reverse order, each once the one after it has converged; without, in one transaction (templated).
    :param to: ``"last_good"``, the newest earlier generation on which a whole tier converged, in the state that the
        tier is in; ``"previous"``; or a generation (templated).
    :param state: with ``to="last_good"``, the state of that generation (templated).
    :param despite_freeze: also roll back a tier that somebody froze; the journal says so. Otherwise that fails.
    :param reason: why, for the journal; what stopped the rollout of this Dag run is added, such as the nodes that
        failed (templated).
    :param only_own: roll back only what this Dag run wrote; anything else counts as a stale write.
    :param written_by: roll back only what these tasks of this Dag run wrote, and in a mapped group with this map index;
        anything else counts as a stale write.
    :param generation: roll back only this generation of a single tier; anything else counts as a stale write. A number,
        the mapping that a ``SetDesiredStateOperator`` returns, or a list of these, of which the newest counts; None
        from an XCom means that the operator wrote nothing, which counts as stale, too (templated).
    :param sequence: as in ``SetDesiredStateOperator`` (templated).
    :param on_stale: as in ``SetDesiredStateOperator``.
    :param wait: also wait, in the same task, until the tiers have converged by this policy.
    :param members: who belongs to the tiers, for ``wait``; see ``ConvergedSensor`` (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = (
        "environment", "tier", "to", "state", "reason", "generation", "sequence", "members", "consul_conn_id",
    )  # fmt: skip
    operator_extra_links = LINKS
    ui_color = "#f5dcdc"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        to: int | str = "previous",
        state: str | None = None,
        despite_freeze: bool = False,
        reason: str = "",
        only_own: bool = False,
        written_by: Sequence[str] | None = None,
        generation: int | str | Mapping[str, int] | XComArg | Sequence[Any] | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        wait: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        from airflow_provider_chefconsul.domain.write.rollback import parse_target

        super().__init__(**kwargs)
        check_tier_path(environment, tier)
        check_members(members)
        if is_literal(to):
            parse_target(to)
        if state is not None and is_literal(state):
            check_name("state", state)
        if state is not None and is_literal(to) and to != "last_good":
            raise InvalidInput('state requires to="last_good"')
        check_sequence(sequence)
        self.environment = environment
        self.tier = tier
        self.to = to
        self.state = state
        self._has_state = state is not None
        self.despite_freeze = check_switch("despite_freeze", despite_freeze)
        self.reason = reason
        self.only_own = check_switch("only_own", only_own)
        self.written_by = written_by
        self.generation = generation
        self._has_generation = generation is not None
        self.sequence = sequence
        self.on_stale = check_on_stale(on_stale)
        self.wait = None if wait is None else check_policy("wait", wait)
        self.members = members
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int]:
        """Roll the tiers back, and wait for each when there is a policy to wait by."""
        return self._go_on(context, {})

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:
        """Resume with the outcome that the trigger sent, and go on with the next tier."""
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        return self._go_on(context, self.settle_generations(Outcome.from_event(event)))

    def _go_on(self, context: Context, generations: Mapping[str, int]) -> dict[str, int]:
        """Roll back the tiers that have not been rolled back yet.

        :param generations: by tier, what those that have been rolled back went back to.
        """
        from airflow_provider_chefconsul.domain.write.rollback import RollBack, parse_target

        tiers = check_tiers(self.environment, self.tier)[::-1]
        rollback = RollBack(
            writer_of(context),
            parse_target(self.to),
            sequence_of(context, self.sequence),
            self.only_own,
            None if self.written_by is None else frozenset(self.written_by),
            self._parse_generation(tiers),
            check_name("state", self.state) if self._has_state else None,
            self.despite_freeze,
            str(self.reason),
        )
        return self.run_or_defer(self._roll_back(context, tiers, rollback, generations))

    def _parse_generation(self, tiers: Sequence[str]) -> int | None:
        if not self._has_generation:
            return None
        if len(tiers) > 1:
            raise InvalidInput(f"generation requires a single tier; got {', '.join(tiers)}")
        # Some of several may be of an earlier try that was rolled back: the newest is what this Dag run wrote last.
        given = as_list(self.generation)
        written = [parse_generations(each, tiers)[tiers[0]] for each in given if each not in (None, "None")]
        if not written:
            error = StaleWrite("nothing to roll back: the generation was never written")
            raise_final(self.log, error, self.on_stale, environment=self.environment)
        return max(written)

    async def _roll_back(
        self, context: Context, tiers: Sequence[str], rollback: RollBack, before: Mapping[str, int]
    ) -> dict[str, int] | WaitingTrigger[Outcome]:
        from airflow_provider_chefconsul.consul.overview import require_members
        from airflow_provider_chefconsul.consul.write import steer
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        selectors = {tier: parse_members(self.members, tier) for tier in tiers}
        generations = dict(before)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            if self.wait is not None:
                await require_members(view, self.environment, selectors)
            for some in [tiers] if self.wait is None else [[tier] for tier in tiers if tier not in before]:
                explained = replace(rollback, reason=await self._explain(view, some, rollback))
                plan = await settle_write(
                    steer(view, self.environment, some, explained),
                    self.log,
                    environment=self.environment,
                    on_stale=self.on_stale,
                    done="rolled back",
                )
                generations |= plan.generations
                if self.wait is None:
                    continue
                # The tiers before it are waited for again, so that the event of a deferral names all that are done.
                request = WaitRequest(list(generations), self.wait, generations, new=plan.new)
                ended = await self.converge(context, view, request)
                if not isinstance(ended, Outcome):
                    return ended
                self.settle(ended)
        return generations

    async def _explain(self, view: SharedView, tiers: Sequence[str], rollback: RollBack) -> str:
        """The reason, and what the journal says that stopped the rollouts of this Dag run; it does without."""
        from airflow_provider_chefconsul.consul.journal import read_journal
        from airflow_provider_chefconsul.domain.explanation.journal import describe_stop
        from airflow_provider_chefconsul.domain.verdict.rollout import find_stop

        try:
            entries = await read_journal(view, self.environment)
        except ChefConsulError as error:
            self.log.warning("%s: the journal cannot be read: %s", self.environment, error)
            return rollback.reason
        stops = [find_stop(tier, entries, begun_by=rollback.writer) for tier in tiers]
        reasons = dict.fromkeys(describe_stop(each) for each in stops if each is not None)
        return ": ".join(filter(None, [rollback.reason, "; ".join(reasons)]))
