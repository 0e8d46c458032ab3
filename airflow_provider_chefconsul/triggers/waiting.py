"""What the triggers that tasks defer to share: for which Dag run they wait, and until when."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow.triggers.base import BaseTrigger

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

T = TypeVar("T")


class WaitingTrigger(BaseTrigger, Generic[T]):
    """
    Waits for a task of a Dag run: in a worker by :meth:`wait`, in the triggerer by ``run``.

    :param consul_conn_id: id of a connection of type ``consul``.
    :param environment: the environment that the Dag run works on.
    :param holder: the Dag run, whose lease on the environment, if it has one, is renewed meanwhile:
        ``{"dag_id", "run_id"}``. None renews none.
    """

    deadline: datetime
    """Aware; when the wait ends in any case. A triggerer that restarts goes on with what is left until then.

    Not set by those that wait however long it takes; a task does not give them to ``run_or_defer``.
    """

    def __init__(self, *, consul_conn_id: str, environment: str, holder: Mapping[str, str] | None) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id
        self.environment = environment
        self.holder = DagRun(**holder) if holder else None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "consul_conn_id": self.consul_conn_id,
                "environment": self.environment,
                "holder": asdict(self.holder) if self.holder else None,
            },
        )

    @abstractmethod
    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> T | None:
        """Wait for the result, at most until the deadline.

        :param until: aware; when to come back without a result, even before the deadline. Wait again to go on.
        :param view: the shared data view, where it is open already; else the connection is looked up.
        :returns: the result; None when ``until`` came first.
        """

    def _open_view(
        self, view: SharedView | None, *, patience: timedelta | None = None
    ) -> AbstractAsyncContextManager[SharedView]:
        if view is not None:
            return view.with_patience(patience)
        return ConsulHook(self.consul_conn_id).open_view(patience=patience)

    @asynccontextmanager
    async def _holding_view(
        self, view: SharedView | None, *, patience: timedelta | None = None
    ) -> AsyncGenerator[SharedView]:
        """The shared data view; the Dag run's lease is renewed while it is open."""
        from airflow_provider_chefconsul.consul.lease import keeping

        async with self._open_view(view, patience=patience) as opened, keeping(opened, self.environment, self.holder):
            yield opened
