"""Waiting for an environment to become free, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook


class LeaseTrigger(BaseTrigger):
    """
    Waits for the lease of an environment, and takes it.

    Started again after it took the lease, it finds that its Dag run has it. A task that was cleared or marked meanwhile
    leaves the lease to its Dag run, whose teardown gives it up, or to its ttl.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the environment.
    :param dag_id: with ``run_id``, the Dag run that is to hold it.
    :param ttl: seconds that the lease stands when nobody renews it.
    :param reason: why, for those who wait.
    :param deadline: ISO 8601 with offset; when to give up.
    """

    def __init__(
        self, *, consul_conn_id: str, environment: str, dag_id: str, run_id: str, ttl: float, reason: str, deadline: str
    ) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id
        self.environment = environment
        self.dag_id = dag_id
        self.run_id = run_id
        self.ttl = ttl
        self.reason = reason
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where this class is, and its parameters as JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "consul_conn_id": self.consul_conn_id,
                "environment": self.environment,
                "dag_id": self.dag_id,
                "run_id": self.run_id,
                "ttl": self.ttl,
                "reason": self.reason,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say whether the Dag run has the lease."""
        try:
            is_held = await self.attend()
        except ChefConsulError as error:
            yield TriggerEvent({"is_held": False, "error": f"{type(error).__name__}: {error}"})
        else:
            yield TriggerEvent({"is_held": is_held, "error": ""})

    async def attend(self, *, until: datetime | None = None) -> bool:
        """Wait until the Dag run has the lease, at most until ``until`` or the deadline; whether it has it."""
        from airflow_provider_chefconsul.consul.lease import acquire

        deadline = datetime.fromisoformat(self.deadline)
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            return await acquire(
                view,
                self.environment,
                DagRun(self.dag_id, self.run_id),
                ttl=timedelta(seconds=self.ttl),
                reason=self.reason,
                until=min(deadline, until) if until else deadline,
                on_progress=self.log.info,
            )


def read_is_held(event: Any) -> bool:
    """Read an event that came back through the database.

    :raises ChefConsulError: it carries an error, or is not what this version's trigger sends.
    """
    try:
        is_held, error = event["is_held"], event["error"]
    except (TypeError, KeyError) as problem:
        raise ChefConsulError(f"the trigger sent something else than whether a lease is held: {event!r}") from problem
    if error:
        raise ChefConsulError(error)
    return bool(is_held)
