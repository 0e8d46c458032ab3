"""Operators that hold back a write until it may be made, and then write again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import InvalidInput, TierFrozen
from airflow_provider_chefconsul.triggers.event_payload import read_answer
from airflow_provider_chefconsul.triggers.stoppable import Stoppable
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.consul.plan import Plan
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

ON_FROZEN = ("wait", "fail")


class HoldingOperator(Stoppable):
    """Waits while a tier that it would move is frozen: in the worker, or at first there and then in the triggerer."""

    consul_conn_id: str
    environment: str
    on_frozen: str

    async def write_when_free(
        self, context: Context, view: SharedView, tiers: Sequence[str], write: Callable[[], Awaitable[Plan]]
    ) -> Plan | WaitingTrigger[bool]:
        """Write, and again each time that a freeze has ended.

        :param tiers: that are written.
        :returns: what was written; or the trigger when it is to go on, for :meth:`run_or_defer`.
        """
        from airflow_provider_chefconsul.triggers.frozen import FrozenTrigger

        while True:
            try:
                return await write()
            except TierFrozen:
                if self.on_frozen == "fail":
                    raise
            holder = asdict(DagRun.of(writer_of(context)))
            frozen = FrozenTrigger(
                consul_conn_id=self.consul_conn_id, environment=self.environment, tiers=tiers, holder=holder
            )
            ended = await self.wait_here(frozen, view)
            if isinstance(ended, FrozenTrigger):
                return ended

    def execute_again(self, context: Context, event: Any = None) -> Any:
        """Begin anew, now that the trigger says that nothing holds the write back: nothing has been written."""
        read_answer(event, "whether a freeze is over", lambda fields: bool(fields["is_over"]))
        return self.execute(context)


def check_on_frozen(on_frozen: object) -> str:
    """Return ``on_frozen`` when it is one of :data:`ON_FROZEN`.

    :raises InvalidInput: it is not.
    """
    if on_frozen in ON_FROZEN:
        return str(on_frozen)
    raise InvalidInput(f'on_frozen must be "wait" or "fail", not {on_frozen!r}')
