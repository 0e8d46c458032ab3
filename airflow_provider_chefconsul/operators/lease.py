"""One Dag run at a time per environment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, conf
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_chefconsul.domain.model.lease import DagRun, check_ttl
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import check_reason, check_switch
from airflow_provider_chefconsul.domain.write.window import ChangeWindow, check_window
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.hold import Hold, HoldableOperator
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class AcquireLeaseOperator(HoldableOperator):
    """
    Waits until no other Dag run holds the environment, then holds it for this one.

    While the lease stands, only this Dag run may write; its writes and its waits renew the lease. The lease belongs to
    the Dag run, so it survives retries, clears and deferral. Use this operator as setup, with ``ReleaseLeaseOperator``
    as teardown. When its Dag run dies, the lease stands until whoever waits for it has seen no renewal for ``ttl``;
    then the waiter takes it over, and Consul refuses what the old Dag run still writes.

    :param environment: the environment (templated).
    :param ttl: how long the lease stands without renewal, from 30 seconds to a day. Tasks that neither write nor wait
        through this provider must take less.
    :param reason: why the environment is held, for the log of those who wait (templated).
    :param timeout: how long to wait for another Dag run.
    :param window: when it may take the lease; outside, the task waits for the next opening first. A Dag run that holds
        the environment already keeps it at any time. None is at any time.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = ("environment", "reason", "consul_conn_id")
    ui_color = "#e8dff5"

    def __init__(
        self,
        *,
        environment: str,
        ttl: timedelta = timedelta(minutes=15),
        reason: str = "",
        timeout: timedelta = timedelta(hours=1),
        window: ChangeWindow | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(timeout, timedelta) or timeout <= timedelta(0):
            raise InvalidInput(f"timeout must be a timedelta above zero, not {timeout!r}")
        self.environment = environment
        self.ttl = check_ttl(ttl)
        self.reason = reason
        self.timeout = timeout
        self.window = check_window(window)
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> None:
        """Take the lease, here or by deferring."""
        check_name("environment", self.environment)
        self._settle(is_held=self.run_unless_held(lambda: self._acquire(context)))

    def execute_complete(self, context: Context, event: Any = None) -> None:  # noqa: ARG002 Airflow's call
        """Resume with what the trigger sent."""
        from airflow_provider_chefconsul.triggers.lease import has_taken_over, read_is_held

        if has_taken_over(event):
            self._count_takeover()
        self._settle(is_held=read_is_held(event))

    async def _acquire(self, context: Context) -> bool | WaitingTrigger[bool] | Hold:
        from airflow_provider_chefconsul.triggers.lease import LeaseTrigger

        dag_run = DagRun(context["ti"].dag_id, context["ti"].run_id)
        hold = self.find_hold(context)
        if hold is not None and not await self._is_holder(dag_run):
            return hold
        trigger = LeaseTrigger(
            consul_conn_id=self.consul_conn_id,
            environment=self.environment,
            holder=asdict(dag_run),
            ttl=self.ttl.total_seconds(),
            reason=str(self.reason),
            deadline=(datetime.now(UTC) + self.timeout).isoformat(),
            writer=writer_of(context).to_fields(),
        )
        acquired = await self.wait_here(trigger)
        if trigger.has_taken_over:
            self._count_takeover()
        return acquired

    def _count_takeover(self) -> None:
        from airflow_provider_chefconsul.triggers.metrics import count_takeover

        count_takeover(self.environment)

    async def _is_holder(self, dag_run: DagRun) -> bool:
        from airflow_provider_chefconsul.consul.lease import find_lease

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            found = await find_lease(view, self.environment)
        return found is not None and found.lease.holder == dag_run

    def _settle(self, *, is_held: bool) -> None:
        if not is_held:
            raise AirflowFailException(
                f"environment {self.environment} was not free within {self.timeout}; the log above names its holder"
            )
        self.log.info("This Dag run holds environment %s", self.environment)


class ReleaseLeaseOperator(BaseOperator):
    """
    Releases the environment when this Dag run holds it; leaves another Dag run's lease alone.

    :param environment: the environment (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    template_fields: Sequence[str] = ("environment", "consul_conn_id")
    ui_color = "#e8dff5"

    def __init__(self, *, environment: str, consul_conn_id: str = ConsulHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> None:
        """Delete the lease."""
        check_name("environment", self.environment)
        instance = context["ti"]
        if asyncio.run(self._release(DagRun(instance.dag_id, instance.run_id))):
            self.log.info("Environment %s is free", self.environment)
        else:
            self.log.warning("This Dag run no longer holds environment %s; nothing was changed", self.environment)

    async def _release(self, holder: DagRun) -> bool:
        from airflow_provider_chefconsul.consul.lease import release

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            return await release(view, self.environment, holder)


class BreakLeaseOperator(BaseOperator):
    """
    Takes an environment from whoever holds it; the holder's writes are refused until it acquires the lease again.

    :param environment: the environment (templated).
    :param reason: why, for the holder (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    """

    template_fields: Sequence[str] = ("environment", "reason", "consul_conn_id")
    ui_color = "#e8dff5"

    def __init__(
        self, *, environment: str, reason: str, consul_conn_id: str = ConsulHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.reason = reason
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> None:
        """Break the lease."""
        check_name("environment", self.environment)
        asyncio.run(self._break(context, check_reason(self.reason)))

    async def _break(self, context: Context, reason: str) -> None:
        from airflow_provider_chefconsul.consul.lease import break_lease, find_lease

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            found = await find_lease(view, self.environment)
            if found is None:
                self.log.info("%s: nobody holds it, so there is nothing to break", self.environment)
                return
            await break_lease(view, self.environment, found, writer_of(context), reason=reason)
            self.log.info("%s: broken, it was %s", self.environment, found.lease.describe())
