"""Waiting in the triggerer for a person's answer, and keeping the environment meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.hooks.consul import ConsulHook


class ApprovalTrigger(HITLTrigger):
    """
    Waits for the answer to an approval, and renews the lease of its Dag run, if it has one.

    When somebody promotes or aborts the rollout meanwhile, there is nothing left to answer.

    Parameters are those of Airflow's ``HITLTrigger``, and:

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the environment that the lease is on.
    :param holder: the Dag run: ``{"dag_id", "run_id"}``.
    :param rollout: the tier and the generation of the canary that the approval is about; None without one.
    """

    def __init__(
        self,
        *,
        consul_conn_id: str,
        environment: str,
        holder: Mapping[str, str],
        rollout: tuple[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = None if rollout is None else (rollout[0], rollout[1])
        self.consul_conn_id = consul_conn_id
        self.environment = environment
        self.holder = DagRun(**holder)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters."""
        _, kwargs = super().serialize()
        own = {
            "consul_conn_id": self.consul_conn_id,
            "environment": self.environment,
            "holder": asdict(self.holder),
            "rollout": self.rollout and list(self.rollout),
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the answer; or how the rollout was ended: ``{"is_promoted", "reason"}``."""
        from airflow_provider_chefconsul.consul.lease import keeping
        from airflow_provider_chefconsul.consul.steered import unless_ended
        from airflow_provider_chefconsul.domain.write.steering import RolloutEnd

        rollouts = {} if self.rollout is None else dict([self.rollout])
        async with (
            ConsulHook(self.consul_conn_id).open_view() as view,
            keeping(view, self.environment, self.holder),
        ):
            ended = await unless_ended(view, self.environment, rollouts, anext(super().run()))
        yield TriggerEvent(asdict(ended)) if isinstance(ended, RolloutEnd) else ended
