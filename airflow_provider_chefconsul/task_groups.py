"""State transitions as TaskGroups: one, several in order, or one that goes a little at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, chain, conf

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import RollBackOperator, SetDesiredStateOperator
from airflow_provider_chefconsul.rollout.desired import Scalar
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.rollout.state_model import StateModel
from airflow_provider_chefconsul.rollout.wave import ALL, check_waves
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor


def transition(
    environment: str,
    tier: str | Sequence[str],
    state: str,
    values: Mapping[str, Scalar] | None = None,
    *,
    group_id: str | None = None,
    canary: int | str | Sequence[str] | None = None,
    spread: str | None = None,
    model: StateModel | None = None,
    allowed_from: Sequence[str | None] | None = None,
    sequence: int | str | None = None,
    on_stale: str = "fail",
    policy: ConvergencePolicy | None = None,
    members: str | Sequence[str] = "service",
    command: str | None = "chef-client",
    max_parallel: int | None = None,
    prefix_per_node: str | None = None,
    force: bool = False,
    consul_conn_id: str = ConsulHook.default_conn_name,
    deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
    **group_kwargs: Any,
) -> TaskGroup:
    """Move a tier to a state: a TaskGroup of the tasks ``set``, ``nudge`` and ``wait``, in this order.

    Parameters mean what they mean in ``SetDesiredStateOperator``, ``ConsulExecChefOperator`` and ``ConvergedSensor``.

    The nudge ends by the policy's timeout, too; then the wait has a timeout of its own.

    :param group_id: ``<tier>_<state>`` when not given, with '_' for characters that Airflow does not take.
    :param model: what may follow what; it is checked here, when the Dag is parsed, and by Consul's word at the write.
    :param command: what to run on the nodes; None leaves the nudge out, for nodes that watch the key.
    :param group_kwargs: further parameters of the TaskGroup.
    :raises InvalidInput: the model knows no such state, or no such transition as ``allowed_from`` names.
    """
    tiers = [tier] if isinstance(tier, str) else list(tier)
    where: dict[str, Any] = {"environment": environment, "tier": tier, "members": members}
    how: dict[str, Any] = {"consul_conn_id": consul_conn_id, "deferrable": deferrable}
    policy = policy or ConvergencePolicy()
    if model is not None:
        allowed_from = _check_model(model, state, allowed_from)
    with TaskGroup(group_id or _name([*tiers, state]), **group_kwargs) as group:
        declare = SetDesiredStateOperator(
            task_id="set",
            state=state,
            values=values,
            canary=canary,
            spread=spread,
            allowed_from=allowed_from,
            sequence=sequence,
            on_stale=on_stale,
            force=force,
            **where,
            **how,
        )
        _Nodes(where, how, policy, command, max_parallel, prefix_per_node).converge(declare)
    return group


def transitions(
    environment: str,
    steps: Sequence[tuple[str | Sequence[str], str]],
    values: Mapping[str, Scalar] | None = None,
    *,
    model: StateModel | None = None,
    **kwargs: Any,
) -> list[TaskGroup]:
    """Move tiers through states, one step after the other: a chain of :func:`transition`.

    :param steps: pairs of a tier (or several) and its next state.
    :param model: what may follow what in each tier. A step that it does not allow after the tier's step before is an
        error when the Dag is parsed; the first step of a tier is checked by Consul's word at the write.
    :param kwargs: further parameters of each transition.
    :returns: the groups, chained; put a lease around them with ``chain(acquire, *groups, release)``.
    :raises InvalidInput: names the transition that the model does not allow.
    """
    standing: dict[str, str] = {}
    groups: list[TaskGroup] = []
    names: list[str] = []
    for tier, state in steps:
        tiers = [tier] if isinstance(tier, str) else list(tier)
        for each in tiers:
            if model is not None:
                _check_step(model, each, standing.get(each), state)
            standing[each] = state
        name = _name([*tiers, state])
        names.append(name)
        again = names.count(name)
        group_id = name if again == 1 else f"{name}_{again}"
        groups.append(transition(environment, tier, state, values, group_id=group_id, model=model, **kwargs))
    chain(*groups)
    return groups


def rollout(
    environment: str,
    tier: str,
    state: str,
    values: Mapping[str, Scalar] | None = None,
    *,
    waves: Sequence[int | str | Sequence[str]] = (1, "10%", "100%"),
    spread: str | None = None,
    approval: bool | Mapping[str, Any] = False,
    auto_revert: bool = False,
    force: bool = False,
    group_id: str | None = None,
    policy: ConvergencePolicy | None = None,
    members: str | Sequence[str] = "service",
    command: str | None = "chef-client",
    max_parallel: int | None = None,
    prefix_per_node: str | None = None,
    sequence: int | str | None = None,
    consul_conn_id: str = ConsulHook.default_conn_name,
    deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
    **kwargs: Any,
) -> TaskGroup:
    """Bring a tier to a state a little at a time: a TaskGroup with a :func:`transition` for each wave.

    A wave begins when the one before it has converged. Budgets of the policy are of the whole tier, over all waves.

    :param waves: what each wave widens the rollout to: numbers of nodes, percentages of those present, or lists of
        nodes. The wave ``"100%"`` promotes the canary; without it the others keep what they have.
    :param spread: as in ``SetDesiredStateOperator``; it has no meaning for waves of named nodes and for ``"100%"``.
    :param approval: ask for approval in Airflow's UI before each wave but the first; a mapping holds further parameters
        of Airflow's ``ApprovalOperator``. A rejection fails the rollout.
    :param auto_revert: when a wave fails, take back what this Dag run wrote and wait for its nodes; the Dag run fails
        all the same.
    :param kwargs: further parameters of each transition.
    :raises InvalidInput: waves that do not widen, or another parameter.
    """
    policy = policy or ConvergencePolicy()
    how: dict[str, Any] = {"consul_conn_id": consul_conn_id, "deferrable": deferrable}
    where: dict[str, Any] = {"environment": environment, "tier": tier, "members": members}
    nodes = _Nodes(where, how, policy, command, max_parallel, prefix_per_node)
    with TaskGroup(group_id or _name([tier, state])) as group:
        # Whatever comes of the rollout comes of this task, also for what follows the group.
        end = EmptyOperator(task_id="end", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        before: list[Any] = []
        for number, wave in enumerate(check_waves(waves), start=1):
            if approval and number > 1:
                subject = f"{environment}/{tier}: bring {wave} of the nodes to state {state}?"
                before.append(_ask(number, subject, approval))
            before.append(
                transition(
                    environment,
                    tier,
                    state,
                    values,
                    group_id=f"wave_{number}",
                    canary=None if wave.size == ALL else _as_written(wave.size),
                    spread=None if wave.size == ALL or isinstance(wave.size, tuple) else spread,
                    policy=policy,
                    members=members,
                    command=command,
                    max_parallel=max_parallel,
                    prefix_per_node=prefix_per_node,
                    sequence=sequence,
                    force=force and number == 1,  # it would begin anew in each wave
                    **kwargs,
                    **how,
                )
            )
        chain(*before, end)
        if auto_revert:
            tasks = [task for part in before for task in (part if isinstance(part, TaskGroup) else [part])]
            with TaskGroup("revert"):
                roll_back = RollBackOperator(
                    task_id="roll_back",
                    only_own=True,
                    on_stale="skip",
                    sequence=sequence,
                    trigger_rule=TriggerRule.ONE_FAILED,
                    **where,
                    **how,
                )
                tasks >> roll_back
                nodes.converge(roll_back) >> end
    return group


@dataclass(frozen=True)
class _Nodes:
    """How the nodes that a write is about are nudged and waited for."""

    where: Mapping[str, Any]
    how: Mapping[str, Any]
    policy: ConvergencePolicy
    command: str | None
    max_parallel: int | None
    prefix_per_node: str | None

    def converge(self, write: BaseOperator) -> ConvergedSensor:
        """Nudge them, unless there is no command, and wait; returns the last task."""
        before = write
        if self.command is not None:
            before = ConsulExecChefOperator(
                task_id="nudge",
                command=self.command,
                generation=write.output,
                max_parallel=self.max_parallel,
                prefix_per_node=self.prefix_per_node,
                timeout=self.policy.timeout,
                **self.where,
                **self.how,
            )
            write >> before
        wait = ConvergedSensor(
            task_id="wait",
            policy=self.policy,
            generation=write.output,
            nudged_by=None if self.command is None else before.task_id,
            **self.where,
            **self.how,
        )
        before >> wait
        return wait


def _ask(number: int, subject: str, approval: bool | Mapping[str, Any]) -> BaseOperator:
    parameters: dict[str, Any] = {"subject": subject, "fail_on_reject": True}
    if not isinstance(approval, bool):
        parameters |= approval
    return ApprovalOperator(task_id=f"approve_{number}", **parameters)


def _check_model(model: StateModel, state: str, allowed_from: Sequence[str | None] | None) -> Sequence[str | None]:
    if allowed_from is None:
        return model.allowed_from(state)
    for before in allowed_from:
        model.check(before, state)
    return allowed_from


def _check_step(model: StateModel, tier: str, before: str | None, state: str) -> None:
    try:
        model.check(before, state)
    except InvalidInput as error:
        raise InvalidInput(f"tier {tier}: {error}") from error


def _as_written(size: int | str | tuple[str, ...]) -> int | str | list[str]:
    return list(size) if isinstance(size, tuple) else size


def _name(parts: Sequence[str]) -> str:
    return re.sub(r"\W+", "_", "_".join(parts))
