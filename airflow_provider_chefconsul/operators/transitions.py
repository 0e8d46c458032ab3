"""Several transitions in one task, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import check_members, check_switch, check_tier_path
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.domain.write.change import parse_change
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.domain.write.transition import Transition, find_transition, parse_transitions
from airflow_provider_chefconsul.domain.write.window import ChangeWindow, check_window
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.operators.change import (
    check_written_change,
    check_written_pacing,
    find_texts,
    keep_texts,
)
from airflow_provider_chefconsul.operators.hold import Hold, HoldableOperator, check_on_frozen
from airflow_provider_chefconsul.operators.nudging import check_max_parallel, check_prefix_per_node
from airflow_provider_chefconsul.operators.transitioning import (
    NUDGE_AFTER,
    TransitioningOperator,
    check_command,
    check_nudge_after,
    parse_command,
)
from airflow_provider_chefconsul.operators.writing import (
    check_on_stale,
    check_sequence,
    declare,
    sequence_of,
)
from airflow_provider_chefconsul.triggers.converging import WaitRequest
from airflow_provider_chefconsul.triggers.event_payload import read_event
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.domain.model.values import Scalar
    from airflow_provider_chefconsul.domain.write.change import Change
    from airflow_provider_chefconsul.triggers.outcome import Outcome
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class TransitionsOperator(TransitioningOperator, HoldableOperator):
    """
    Moves tiers through states, one step after the other, each as a ``TransitionOperator`` does.

    It costs one row and the start of one process instead of one for each step. A retry, and a clear after a failure, go
    on at the step at which Consul's data view stands; the steps before it are not declared again. What they declared
    must still stand, with the same values: else the task fails, and says who wrote. Once all steps have been made,
    clearing the task changes nothing.

    Returns ``{tier: generation}`` of each tier's last step.

    :param environment: the tiers' environment (templated).
    :param steps: pairs of a tier (or several, together) and its next state.
    :param values: as in ``SetDesiredStateOperator``, the same for all steps (templated).
    :param slots: as in ``SetDesiredStateOperator``, the same for all steps, as are ``per`` and ``spread_over``
        (templated).
    :param model: which state may follow which in each tier, checked when a step is written.
    :param sequence: as in ``SetDesiredStateOperator`` (templated).
    :param on_stale: as in ``SetDesiredStateOperator``, as long as nothing is written; a later step fails in any case.
    :param on_frozen: as in ``SetDesiredStateOperator``.
    :param window: as in ``SetDesiredStateOperator``; each step looks again.
    :param policy: when a step's tiers count as converged; its times are for each step.
    :param members: who belongs to each tier; see ``ConvergedSensor`` (templated).
    :param command: as in ``TransitionOperator`` (templated).
    :param nudge_after: as in ``TransitionOperator``.
    :param max_parallel: as in ``TransitionOperator``.
    :param prefix_per_node: as in ``ConsulExecChefOperator``.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds of each step are spent in the worker.
    """

    template_fields: Sequence[str] = (
        "environment",
        "values",
        "slots",
        "sequence",
        "members",
        "command",
        "consul_conn_id",
    )
    template_fields_renderers = {"values": "json", "command": "bash"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = LINKS
    ui_color = "#dcefe3"

    def __init__(
        self,
        *,
        environment: str,
        steps: Sequence[tuple[str | Sequence[str], str]],
        values: Mapping[str, Scalar] | XComArg | None = None,
        slots: int | str | None = None,
        per: str | None = None,
        spread_over: timedelta | None = None,
        model: StateModel | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        on_frozen: str = "wait",
        window: ChangeWindow | None = None,
        policy: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        command: str | None = "chef-client",
        nudge_after: timedelta = NUDGE_AFTER,
        max_parallel: int | None = None,
        prefix_per_node: str | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.steps = parse_transitions(steps)
        self.tier = list(dict.fromkeys(tier for each in self.steps for tier in each.tiers))
        check_tier_path(environment, "any")
        check_members(members)
        check_written_change(values=values)
        check_written_pacing(slots, per, spread_over)
        check_sequence(sequence)
        check_command(command)
        self.environment = environment
        self.values = values
        self._texts = find_texts(values)
        self.slots = slots
        self.per = per
        self.spread_over = spread_over
        self.model = model
        self.sequence = sequence
        self.on_stale = check_on_stale(on_stale)
        self.on_frozen = check_on_frozen(on_frozen)
        self.window = check_window(window)
        self.policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
        self.members = members
        self.command = command
        self.nudge_after = check_nudge_after(nudge_after)
        self.max_parallel = check_max_parallel(max_parallel)
        self.prefix_per_node = check_prefix_per_node(prefix_per_node)
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int]:
        """Go through the steps, from the one at which the data view stands."""
        check_name("environment", self.environment)
        return self.run_unless_held(lambda: self._walk(context, None))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int]:
        """Resume with the outcome of a step that the trigger sent, and go on with the next one."""
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        self.settle(Outcome.from_event(event))
        position = read_event(event, "the outcome of a step", Position.from_event)
        known = iter([position])  # after a hold, Consul tells where it stands
        return self.run_unless_held(lambda: self._walk(context, next(known, None)))

    async def _walk(
        self, context: Context, position: Position | None
    ) -> dict[str, int] | WaitingTrigger[Outcome] | Hold:
        """Make one transition after the other.

        :param position: how far this try has come; None when it begins.
        """
        from airflow_provider_chefconsul.triggers.outcome import Outcome

        self.command = parse_command(self.command)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            if position is None:
                current = await view.desired(self.environment, self.tier)
                change = self._change(context, self.steps[0], 1)
                last = find_transition(self.steps, change.values, writer_of(context), current)
                made = {tier for each in self.steps[:last] for tier in each.tiers}
                generations = {tier: each.newest.generation for tier, each in current.items() if each and tier in made}
                # What it wrote last is declared again, which changes nothing, and waited for.
                position = Position(max(last - 1, 0), generations, has_written=last > 0)
            for number, transition in enumerate(self.steps[position.number :], position.number + 1):
                self.log.info("Step %s of %s: %s", number, len(self.steps), transition)
                plan = await declare(
                    view,
                    self.environment,
                    transition.tiers,
                    self._change(context, transition, number),
                    members=self.members,
                    needs_members=True,
                    allow_empty=False,
                    on_stale="fail" if position.has_written else self.on_stale,
                    find_hold=partial(self.find_hold, context),
                    hold_frozen=partial(self.hold_frozen, context, transition.tiers),
                    log=self.log,
                    log_prefix="declare: ",
                )
                if isinstance(plan, Hold):
                    return plan
                position = Position(
                    number, {**position.generations, **plan.generations}, position.has_written or bool(plan.operations)
                )
                request = WaitRequest(transition.tiers, self.policy, plan.generations, new=plan.new)
                ended = await self.converge(context, view, request, echo=asdict(position))
                if not isinstance(ended, Outcome):
                    return ended
                self.settle(ended)
        return dict(position.generations)

    def _change(self, context: Context, transition: Transition, number: int) -> Change:
        return parse_change(
            state=transition.state,
            writer=replace(writer_of(context), transition=number),
            values=keep_texts(self.values, self._texts, self.log),
            slots=self.slots,
            per=self.per,
            spread_over=self.spread_over,
            allowed_from=self.model.allowed_from(transition.state) if self.model else None,
            sequence=sequence_of(context, self.sequence),
        )


@dataclass(frozen=True, slots=True)
class Position:
    """How far a try has come.

    :param number: of the step that was declared last, from 1; 0 before the first.
    :param generations: by tier, what it was given.
    :param has_written: whether anything was written, so that giving up would leave it half done.
    """

    number: int
    generations: Mapping[str, int]
    has_written: bool

    @classmethod
    def from_event(cls, event: Any) -> Position:
        """Read what a trigger sent back."""
        fields = event["echo"]
        return cls(int(fields["number"]), dict(fields["generations"]), bool(fields["has_written"]))
