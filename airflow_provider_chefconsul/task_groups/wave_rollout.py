"""Bringing a tier to a state wave by wave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, XComArg, chain

from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.parameter import check_known, check_switch, is_reference
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from airflow_provider_chefconsul.operators.rollout_end import CheckRolloutEndOperator
from airflow_provider_chefconsul.task_groups.gate import Gate, NextWave, build_gate, check_gate
from airflow_provider_chefconsul.task_groups.given import NOT_GIVEN, NotGiven, given, or_default
from airflow_provider_chefconsul.task_groups.nodes import Nodes
from airflow_provider_chefconsul.task_groups.state_transition import default_id, transition


def rollout(
    environment: str,
    tier: str,
    state: str,
    values: Mapping[str, Scalar] | XComArg | NotGiven | None = NOT_GIVEN,
    *,
    waves: Sequence[int | str | Sequence[str]] = (1, "10%", "100%"),
    spread: str | None = None,
    slots: int | str | NotGiven | None = NOT_GIVEN,
    per: str | NotGiven | None = NOT_GIVEN,
    spread_over: timedelta | NotGiven | None = NOT_GIVEN,
    gate: Gate | None = None,
    approval: bool | Mapping[str, Any] = False,
    auto_revert: bool = False,
    window: ChangeWindow | NotGiven | None = NOT_GIVEN,
    force: bool | NotGiven = NOT_GIVEN,
    group_id: str | None = None,
    policy: ConvergencePolicy | NotGiven | None = NOT_GIVEN,
    members: str | Sequence[str] | NotGiven = NOT_GIVEN,
    command: str | NotGiven | None = NOT_GIVEN,
    nudge_after: timedelta | NotGiven = NOT_GIVEN,
    max_parallel: int | NotGiven | None = NOT_GIVEN,
    prefix_per_node: str | NotGiven | None = NOT_GIVEN,
    sequence: int | str | NotGiven | None = NOT_GIVEN,
    consul_conn_id: str | NotGiven = NOT_GIVEN,
    deferrable: bool | NotGiven = NOT_GIVEN,
    default_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> TaskGroup:
    """Bring a tier to a state wave by wave: a TaskGroup with a ``TransitionOperator`` for each wave.

    A wave begins when the one before it has converged. The policy's budgets cover the whole tier, over all waves.
    Parameters that are not given are left to ``default_args`` and the operators.

    :param waves: what each wave widens the rollout to: numbers of nodes, percentages of those present, or lists of
        nodes. The wave ``"100%"`` promotes the canary; without it the others keep what they have.
    :param spread: as in ``SetDesiredStateOperator``; waves of named nodes and ``"100%"`` ignore it.
    :param slots: as in ``SetDesiredStateOperator``, the same for all waves, as are ``per`` and ``spread_over``; a
        percentage is of the tier, not of the wave.
    :param gate: builds tasks that must succeed before each wave but the first begins: a function that takes the
        :class:`NextWave` and returns a task, a TaskGroup or the result of a TaskFlow function. They stand in a group
        ``gate_<number>``, before the approval, so that whoever approves knows what they found. A gate that is skipped
        leaves the canary out; then the task ``check_end`` fails.
    :param approval: ask for approval in Airflow's UI before each wave but the first, and say there what the wave does;
        a mapping holds further parameters of Airflow's ``ApprovalOperator``. A rejection, or no answer within its
        ``response_timeout``, fails the rollout at once.
    :param auto_revert: when a wave or a gate fails, or a wave is rejected, roll back what this Dag run wrote and wait
        for its nodes; the Dag run fails all the same.
    :param window: when waves may begin: each looks again. What has begun goes on, and a rollback needs no window.
    :param group_id: of the group; ``<tier>_<state>`` when not given.
    :param default_args: as in a TaskGroup.
    :param kwargs: further parameters of each wave's :func:`transition`.
    :returns: the group.
    :raises InvalidInput: the waves do not widen, or another parameter is refused.
    """
    check_known(
        waves=waves, spread=spread, approval=approval, auto_revert=auto_revert, force=force, group_id=group_id
    )  # fmt: skip
    for name, value in given(force=force, auto_revert=auto_revert).items():
        check_switch(name, value)
    _check_approval(approval)
    check_gate(gate)
    if not is_reference(tier) and not isinstance(tier, str):
        raise InvalidInput(f"tier must be a single tier, not {tier!r}; build a rollout for each tier")
    target = given(members=members, consul_conn_id=consul_conn_id) | {"environment": environment, "tier": tier}
    shared = target | given(deferrable=deferrable)
    content = given(values=values, slots=slots, per=per, spread_over=spread_over) | {"state": state}
    with TaskGroup(default_id("group_id", group_id, tier, state), default_args=dict(default_args or {})) as group:  # type: ignore[arg-type]
        # Whatever comes of the rollout comes of this task, also for what follows the group.
        end = EmptyOperator(task_id="end", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        before: list[Any] = []
        built: list[Any] = []
        parsed = Wave.parse_all(waves, spread)
        for number, wave in enumerate(parsed, start=1):
            canary = {
                "canary": None if wave.is_all else wave.written,
                "spread": wave.spread and f"meta:{wave.spread}",
            }
            of_rollout = {"wave": (number, len(parsed))}
            if gate is not None and number > 1:
                next_wave = NextWave(environment, tier, state, number, len(parsed), wave.written)
                connection = or_default(consul_conn_id, end, "consul_conn_id", ConsulHook.default_conn_name)
                before.append(build_gate(gate, next_wave, connection))
            if approval and number > 1:
                asked = {**target, **content, **canary, **given(sequence=sequence)}
                asked |= {"wave": number, "waves": len(parsed)}
                before.append(_ask(f"approve_{number}", approval, asked))
            # Forcing a later wave, too, would make another generation.
            forced = given(force=force) if number == 1 else {"force": False}
            built.append(
                transition(
                    task_id=f"wave_{number}",
                    separate=False,
                    policy=policy,
                    command=command,
                    nudge_after=nudge_after,
                    max_parallel=max_parallel,
                    prefix_per_node=prefix_per_node,
                    window=window,
                    sequence=sequence,
                    **{**shared, **content, **canary, **of_rollout, **forced, **kwargs},
                )
            )
            before.append(built[-1])
        chain(*before, end)
        if gate is not None and len(built) > 1:
            # A gate that is skipped skips the waves after it: nothing fails, and the canary stays out.
            check = CheckRolloutEndOperator(
                task_id="check_end",
                trigger_rule=TriggerRule.ALL_SKIPPED,
                written_by=[each.task_id for each in built],
                environment=environment,
                tier=tier,
                **given(consul_conn_id=consul_conn_id),
            )
            chain(built[-1], check, end)
        if auto_revert:
            with TaskGroup("revert"):
                roll_back = RollBackOperator(
                    task_id="roll_back",
                    written_by=[each.task_id for each in built],
                    on_stale="skip",
                    despite_freeze=True,
                    reason="auto_revert",
                    trigger_rule=TriggerRule.ONE_FAILED,
                    **given(sequence=sequence),
                    **shared,
                )
                before >> roll_back
                nodes = Nodes(shared, policy, command, max_parallel, prefix_per_node)
                nodes.converge(roll_back) >> end
    return group


def _check_approval(approval: object) -> None:
    if isinstance(approval, bool):
        return
    if not isinstance(approval, Mapping):
        raise InvalidInput(f"approval must be True, False or parameters of an ApprovalOperator, not {approval!r}")
    if not approval.get("fail_on_reject", True):
        raise InvalidInput(
            "approval: fail_on_reject must be True; otherwise a rejection would leave the canary out for good"
        )


def _ask(task_id: str, approval: bool | Mapping[str, Any], asked: Mapping[str, Any]) -> BaseOperator:
    from airflow_provider_chefconsul.operators.approval import ApproveWaveOperator  # noqa: PLC0415 - brings a provider

    parameters = {} if isinstance(approval, bool) else dict(approval)
    parameters.pop("fail_on_reject", None)
    return ApproveWaveOperator(task_id=task_id, **{**asked, **parameters})
