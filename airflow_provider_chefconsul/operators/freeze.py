"""Keeping tiers as they are, and ending that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, check_frozen_tiers, make_freeze_entry
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import is_literal
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class FreezingOperator(BaseOperator):
    """Begins or ends a freeze of tiers."""

    template_fields: Sequence[str] = ("environment", "tier", "reason", "consul_conn_id")
    ui_color = "#d5ecf7"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str] = (),
        reason: str = "",
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if is_literal(environment):
            check_name("environment", environment)
        if is_literal(tier):
            check_frozen_tiers(tier)
        self.environment = environment
        self.tier = tier
        self.reason = reason
        self.consul_conn_id = consul_conn_id


class FreezeOperator(FreezingOperator):
    """
    Keeps tiers as they are: from then on, Consul refuses every write that would move one, whoever makes it.

    Tasks that would write wait until the freeze ends, or fail, as their ``on_frozen`` says. What has begun goes on: a
    frozen tier in the middle of a rollout stays between two waves. It fails when the environment has no such tier: a
    freeze of a mistyped name would stop nobody.

    :param environment: the environment (templated).
    :param tier: one tier, or several; none is the whole environment, also tiers that are declared later (templated).
    :param reason: why, for those who have to wait (templated).
    :param until: when it ends by itself, as ISO 8601 with an offset; None until somebody ends it (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    template_fields: Sequence[str] = (*FreezingOperator.template_fields, "until")

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str] = (),
        reason: str,
        until: str | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(environment=environment, tier=tier, reason=reason, consul_conn_id=consul_conn_id, **kwargs)
        self.until = until

    def execute(self, context: Context) -> None:
        """Freeze."""
        check_name("environment", self.environment)
        names, now = check_frozen_tiers(self.tier or ()), datetime.now(UTC)
        until = None if self.until in (None, "", "None") else self.until
        entry = make_freeze_entry(writer_of(context), self.reason, until, now=now)

        async def freeze_now() -> None:
            from airflow_provider_chefconsul.consul.freeze import freeze
            from airflow_provider_chefconsul.consul.overview import check_declared

            async with ConsulHook(self.consul_conn_id).open_view() as view:
                await check_declared(view, self.environment, [name for name in names if name != EVERY_TIER])
                await freeze(view, self.environment, names, entry)

        asyncio.run(freeze_now())
        for name in names:
            self.log.info("%s/%s: %s", self.environment, name, entry.describe())


class UnfreezeOperator(FreezingOperator):
    """
    Ends the freeze of tiers; tasks that wait for it write then.

    :param environment: the environment (templated).
    :param tier: the tiers whose own freeze ends; none ends every freeze of the environment (templated).
    :param reason: why, for the journal (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    def execute(self, context: Context) -> None:
        """End the freeze."""
        check_name("environment", self.environment)
        names = check_frozen_tiers(self.tier) if self.tier else None

        async def unfreeze_now() -> bool:
            from airflow_provider_chefconsul.consul.freeze import unfreeze

            async with ConsulHook(self.consul_conn_id).open_view() as view:
                by = writer_of(context)
                return await unfreeze(view, self.environment, names, by, reason=str(self.reason)) is not None

        if asyncio.run(unfreeze_now()):
            self.log.info("%s: the freeze of %s has ended", self.environment, ", ".join(names or ["everything"]))
        else:
            self.log.warning("%s: nobody froze %s; nothing was changed", self.environment, ", ".join(names or ["it"]))
