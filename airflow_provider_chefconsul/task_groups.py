"""A state transition as a TaskGroup: declare, nudge, wait."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, conf

from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.rollout.desired import Scalar
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor


def transition(
    environment: str,
    tier: str | Sequence[str],
    state: str,
    values: Mapping[str, Scalar] | None = None,
    *,
    group_id: str | None = None,
    allowed_from: Sequence[str | None] | None = None,
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
    :param command: what to run on the nodes; None leaves the nudge out, for nodes that watch the key.
    :param group_kwargs: further parameters of the TaskGroup.
    """
    tiers = [tier] if isinstance(tier, str) else list(tier)
    where: dict[str, Any] = {"environment": environment, "tier": tier, "members": members}
    how: dict[str, Any] = {"consul_conn_id": consul_conn_id, "deferrable": deferrable}
    policy = policy or ConvergencePolicy()
    with TaskGroup(group_id or re.sub(r"\W+", "_", "_".join([*tiers, state])), **group_kwargs) as group:
        declare = SetDesiredStateOperator(
            task_id="set", state=state, values=values, allowed_from=allowed_from, force=force, **where, **how
        )
        before: BaseOperator = declare
        if command is not None:
            before = ConsulExecChefOperator(
                task_id="nudge",
                command=command,
                max_parallel=max_parallel,
                prefix_per_node=prefix_per_node,
                timeout=policy.timeout,
                **where,
                **how,
            )
            declare >> before
        before >> ConvergedSensor(
            task_id="wait",
            policy=policy,
            generation=declare.output,
            nudged_by=None if command is None else before.task_id,
            **where,
            **how,
        )
    return group
