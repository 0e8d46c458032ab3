"""The tasks that follow a write: nudge the nodes that it is about, and wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from airflow_provider_chefconsul.task_groups.given import NotGiven, given, or_default


@dataclass(frozen=True)
class Nodes:
    """How the nodes that a write is about are nudged and waited for; what was not given is left to ``default_args``.

    :param shared: parameters that all tasks share.
    """

    shared: Mapping[str, Any]
    policy: ConvergencePolicy | NotGiven | None
    command: Any
    max_parallel: int | NotGiven | None
    prefix_per_node: str | NotGiven | None

    def converge(self, write: BaseOperator) -> ConvergedSensor:
        """Nudge the nodes, unless there is no command, and wait for them.

        :param write: the task that returns ``{tier: generation}``.
        :returns: the last task.
        """
        before = write
        policy = or_default(self.policy, write, "policy", None)
        policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
        is_nudged = or_default(self.command, write, "command", "chef-client") is not None
        if is_nudged:
            before = ConsulExecChefOperator(
                task_id="nudge",
                generation=write.output,
                timeout=policy.timeout,
                **given(command=self.command, max_parallel=self.max_parallel, prefix_per_node=self.prefix_per_node),
                **self.shared,
            )
            write >> before
        wait = ConvergedSensor(
            task_id="wait",
            generation=write.output,
            nudged_by=before.task_id if is_nudged else None,
            **given(policy=self.policy),
            **self.shared,
        )
        before >> wait
        return wait
