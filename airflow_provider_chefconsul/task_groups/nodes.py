"""How the nodes that a write is about come to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor


@dataclass(frozen=True)
class Nodes:
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
