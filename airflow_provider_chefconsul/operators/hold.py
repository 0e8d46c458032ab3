"""What holds writes up: the task waits for it, in the worker or deferred, and then executes again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.triggers.stoppable import Stoppable
from airflow_provider_chefconsul.triggers.writer import holder_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.write.window import ChangeWindow
    from airflow_provider_chefconsul.exceptions import TierFrozen
    from airflow_provider_chefconsul.triggers.hold import HoldTrigger
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hold:
    """What a task waits for before it writes.

    :param reason: what that is, and until when, for the log.
    :param make_trigger: makes what waits for it, given the ``rollouts``; what that sends, ``check_is_over`` reads.
    :param rollouts: by tier, the generation of the canary that the write would widen or promote. When somebody else
        promotes or aborts it, there is nothing left to wait for.
    """

    reason: str
    make_trigger: Callable[..., HoldTrigger]
    rollouts: Mapping[str, int] = field(default_factory=dict)


class HoldableOperator(Stoppable):
    """Writes, unless something holds that up; then it waits and begins again, since much may have changed meanwhile."""

    consul_conn_id: str
    environment: str
    window: ChangeWindow | None
    on_frozen: str = "wait"

    def find_hold(self, context: Context) -> Hold | None:
        """What holds the task's writes up now: outside its change window, the next opening."""
        if self.window is None:
            return None
        from airflow_provider_chefconsul.triggers.window import WindowTrigger, current_time

        now = current_time()
        if self.window.is_open(now):
            return None
        opening, closing = map(self.window.on_clock, (self.window.next_opening(now), self.window.closes_at(now)))
        return Hold(
            f"{self.environment}: outside the change window {self.window}, which is open again from {opening} to "
            f"{closing}; nothing is written before",
            partial(
                WindowTrigger,
                consul_conn_id=self.consul_conn_id,
                environment=self.environment,
                holder=holder_of(context),
                window=self.window.to_fields(),
            ),
        )

    def hold_frozen(self, context: Context, tiers: Sequence[str], error: TierFrozen) -> Hold:
        """What a write waits for whose tiers somebody keeps frozen.

        :raises TierFrozen: it is to fail instead.
        """
        if self.on_frozen == "fail":
            raise error
        from airflow_provider_chefconsul.triggers.frozen import FrozenTrigger
        from airflow_provider_chefconsul.triggers.metrics import count_frozen_wait

        count_frozen_wait(self.environment)
        return Hold(
            f"{error}; waiting for the end of that",
            partial(
                FrozenTrigger,
                consul_conn_id=self.consul_conn_id,
                environment=self.environment,
                holder=holder_of(context),
                tiers=tiers,
            ),
        )

    def run_unless_held(self, begin: Callable[[], Coroutine[Any, Any, T | WaitingTrigger[Any] | Hold]]) -> T:
        """As :meth:`run_or_defer`, but while the coroutine ends with a hold, wait for it and begin again.

        :param begin: makes the coroutine.
        """
        while isinstance(ended := self.run_here(begin()), Hold):
            self.log.info(ended.reason)
            trigger = ended.make_trigger(rollouts=ended.rollouts)
            if self.run_here(self.wait_here(trigger)) is not True:
                # Airflow applies execution_timeout only in the worker. Without one, a triggerer that is away over the
                # opening must not fail the task.
                timeout = self.execution_timeout
                self.defer(trigger=trigger, method_name="execute_again", timeout=timeout)
        return self.end_or_defer(ended)

    def execute_again(self, context: Context, event: Any = None) -> Any:
        """Resume after a hold."""
        from airflow_provider_chefconsul.triggers.hold import check_is_over

        check_is_over(event)
        return self.execute(context)


def check_on_frozen(on_frozen: object) -> str:
    """Return ``on_frozen`` when it is "wait" or "fail".

    :raises InvalidInput: it is neither.
    """
    if on_frozen in ("wait", "fail"):
        return str(on_frozen)
    raise InvalidInput(f'on_frozen must be "wait" or "fail", not {on_frozen!r}')
