"""Checking that a rollout has come to its end, where nothing failed and yet waves were left out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import check_tier_path
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.model.desired import Assignment
    from airflow_provider_chefconsul.domain.model.writer import Writer


class CheckRolloutEndOperator(BaseOperator):
    """
    Fails while a tier stands at a canary of this Dag run's own; is skipped otherwise.

    When a skipped gate has skipped the last wave, :func:`rollout` runs it: without it the Dag run would be green. It
    changes nothing, and it is no reason for ``auto_revert`` to roll back.

    :param environment: the environment (templated).
    :param tier: the tier (templated).
    :param written_by: the tasks of this Dag run whose canary is meant, in a mapped group with this map index.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    template_fields: Sequence[str] = ("environment", "tier", "consul_conn_id")
    ui_color = "#f5dcdc"

    def __init__(
        self,
        *,
        environment: str,
        tier: str,
        written_by: Sequence[str],
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_tier_path(environment, tier)
        self.environment = environment
        self.tier = tier
        self.written_by = written_by
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> None:
        """Look at what stands."""
        check_name("environment", self.environment)
        check_name("tier", self.tier)
        canary = asyncio.run(self._find_canary(writer_of(context)))
        tier_path = f"{self.environment}/{self.tier}"
        if canary is None:
            raise AirflowSkipException(f"{tier_path}: no canary of this rollout is out")
        raise AirflowFailException(
            f"{tier_path}: its last wave was skipped, and the canary is still out: {canary.describe()}; promote it or "
            f"abort it, or clear the task that was skipped"
        )

    async def _find_canary(self, writer: Writer) -> Assignment | None:
        """The canary that is out, if one of the tasks wrote it last: somebody else may have taken it up since."""
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            current = (await view.desired(self.environment, [self.tier]))[self.tier]
        if current is None or current.canary is None:
            return None
        last = current.written_by
        is_own = last.task_id in self.written_by and last.map_index == writer.map_index
        return current.canary.assignment if is_own and last.is_same_run(writer) else None
