"""Steering a rollout that is going on: letting it reach all nodes now, or calling it off."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import check_reason, check_tier_path
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.operators.writing import settle_write
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.model.writer import Writer
    from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion


class SteeringOperator(BaseOperator):
    """Acts on the canaries of tiers."""

    template_fields: Sequence[str] = ("environment", "tier", "reason", "consul_conn_id")
    operator_extra_links = LINKS
    done = ""
    """What the log calls the write."""

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        reason: str = "",
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_tier_path(environment, tier)
        self.environment = environment
        self.tier = tier
        self.reason = reason
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Write."""
        tiers = check_tiers(self.environment, self.tier)
        return asyncio.run(self._write(context, tiers))

    async def _write(self, context: Context, tiers: Sequence[str]) -> dict[str, int]:
        from airflow_provider_chefconsul.consul.write import steer

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            plan = await settle_write(
                steer(view, self.environment, tiers, self.make_request(writer_of(context))),
                self.log,
                environment=self.environment,
                on_stale="fail",
                done=self.done,
            )
        return plan.generations

    @abstractmethod
    def make_request(self, writer: Writer) -> Promotion | Abort:
        """What it does to the tiers."""


class PromoteOperator(SteeringOperator):
    """
    Gives all nodes of tiers their canaries' assignments now; waves that are left then find nothing to do.

    It may be done while the Dag run of the rollout holds the environment. Returns ``{tier: generation}``.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several (templated).
    :param reason: why, for the journal (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    ui_color = "#dcefe3"
    done = "promoted"

    def make_request(self, writer: Writer) -> Promotion:
        """Promote."""
        from airflow_provider_chefconsul.domain.write.steering import Promotion

        return Promotion(writer, str(self.reason))


class AbortOperator(SteeringOperator):
    """
    Calls rollouts off: rolls the tiers' canaries back, and lets no further wave of their Dag runs begin.

    Waits of the rollout fail at once with the reason, without retries. It may be done while the Dag run of the rollout
    holds the environment. Returns ``{tier: generation}``, what the nodes go back to.

    :param environment: the tiers' environment (templated).
    :param tier: one tier, or several (templated).
    :param reason: why, for those whose rollout it was (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    ui_color = "#f5dcdc"
    done = "aborted"

    def make_request(self, writer: Writer) -> Abort:
        """Abort."""
        from airflow_provider_chefconsul.domain.write.steering import Abort

        return Abort(writer, check_reason(self.reason))
