"""Bringing a tier to a state a little at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, chain, conf

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.desired_state import RollBackOperator
from airflow_provider_chefconsul.rollout.desired import Scalar
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.rollout.switch import check_switch
from airflow_provider_chefconsul.rollout.wave import check_waves
from airflow_provider_chefconsul.task_groups.nodes import Nodes
from airflow_provider_chefconsul.task_groups.transition import group_name, transition


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
    policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
    for name, value in {"force": force, "auto_revert": auto_revert}.items():
        check_switch(name, value)
    if not isinstance(approval, (bool, Mapping)):
        raise InvalidInput(f"approval must be True, False or parameters of an ApprovalOperator, not {approval!r}")
    if not isinstance(tier, str):
        raise InvalidInput(f"tier must be one tier, not {tier!r}; build a rollout for each")
    how: dict[str, Any] = {"consul_conn_id": consul_conn_id, "deferrable": deferrable}
    where: dict[str, Any] = {"environment": environment, "tier": tier, "members": members}
    nodes = Nodes(where, how, policy, command, max_parallel, prefix_per_node)
    with TaskGroup(group_id or group_name([tier, state])) as group:
        # Whatever comes of the rollout comes of this task, also for what follows the group.
        end = EmptyOperator(task_id="end", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        before: list[Any] = []
        built: list[Any] = []
        for number, wave in enumerate(check_waves(waves, spread), start=1):
            if approval and number > 1:
                subject = f"{environment}/{tier}: bring {wave} of the nodes to state {state}?"
                before.append(_ask(number, subject, approval))
            built.append(
                transition(
                    environment,
                    tier,
                    state,
                    values,
                    group_id=f"wave_{number}",
                    canary=None if wave.is_all else _as_written(wave.size),
                    spread=wave.spread and f"meta:{wave.spread}",
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
            before.append(built[-1])
        chain(*before, end)
        if auto_revert:
            tasks = [task for part in before for task in (part if isinstance(part, TaskGroup) else [part])]
            with TaskGroup("revert"):
                roll_back = RollBackOperator(
                    task_id="roll_back",
                    only_own=True,
                    generation=[next(iter(each.children.values())).output for each in built],
                    on_stale="skip",
                    sequence=sequence,
                    trigger_rule=TriggerRule.ONE_FAILED,
                    **where,
                    **how,
                )
                tasks >> roll_back
                nodes.converge(roll_back) >> end
    return group


def _ask(number: int, subject: str, approval: bool | Mapping[str, Any]) -> BaseOperator:
    parameters: dict[str, Any] = {"subject": subject, "fail_on_reject": True}
    if not isinstance(approval, bool):
        parameters |= approval
    return ApprovalOperator(task_id=f"approve_{number}", **parameters)


def _as_written(size: int | str | tuple[str, ...]) -> int | str | list[str]:
    return list(size) if isinstance(size, tuple) else size
