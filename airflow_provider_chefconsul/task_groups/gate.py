"""What an author puts between two waves of a rollout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TaskGroup, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.parameter import is_reference
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.wave_journal import journal_answer
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True, slots=True)
class NextWave:
    """The wave of a rollout that begins when a gate has passed.

    :param environment: as given to the rollout, as are ``tier`` and ``state``.
    :param number: from 2.
    :param of: how many waves the rollout has.
    :param size: what it widens the rollout to, as written: a number of nodes, a percentage, or nodes by name.
    """

    environment: str
    tier: str
    state: str
    number: int
    of: int
    size: int | str | list[str]


Gate = Callable[[NextWave], BaseOperator | MappedOperator | TaskGroup | XComArg]
"""Builds the tasks of a gate."""


def check_gate(gate: object) -> None:
    """Refuse what builds nothing.

    :raises InvalidInput: it is neither a function nor None.
    """
    if gate is not None and not callable(gate):
        raise InvalidInput(f"gate must be a function that takes the next wave and builds tasks, not {gate!r}")


def build_gate(gate: Gate, wave: NextWave, consul_conn_id: str) -> TaskGroup:
    """Build the tasks in a group of their own.

    Those that can are told whose rollout they belong to, and the journal is told when one of them fails.

    :raises InvalidInput: the gate does not return what it builds.
    """
    # A group copies its default_args, and a copied reference would belong to no task of the Dag.
    defaults = {} if is_reference(wave.tier) else {"rollout_tier": wave.tier}
    with TaskGroup(f"gate_{wave.number}", default_args=defaults) as group:  # type: ignore[arg-type]
        returned = gate(wave)
    built = _task_ids(returned)
    if not built or not built <= {task.task_id for task in group.iter_tasks()}:
        name = getattr(gate, "__qualname__", repr(gate))
        raise InvalidInput(
            f"gate {name} must return the task, the TaskGroup or the TaskFlow result that it builds for wave "
            f"{wave.number}, not {returned!r}"
        )
    for task in _tasks_in(group):
        task.on_failure_callback = [*_as_list(task.on_failure_callback), _GateFailure(wave, consul_conn_id)]
    return group


@dataclass(frozen=True, slots=True)
class _GateFailure:
    """Tells the journal that a task of a gate failed, as a callback of that task."""

    wave: NextWave
    consul_conn_id: str

    def __call__(self, context: Context) -> None:
        task: Any = context["task"]
        environment, tier, connection = task.render_template(
            (self.wave.environment, self.wave.tier, self.consul_conn_id), context
        )
        wave = JournalWave(str(Wave.parse(self.wave.size)), self.wave.number, self.wave.of)
        reason = one_line(str(context.get("exception") or "it failed"))
        by = writer_of(context)
        asyncio.run(journal_answer(connection, environment, tier, by, JournalAct.GATE_FAILED, wave=wave, reason=reason))


def _tasks_in(group: TaskGroup) -> Iterator[BaseOperator | MappedOperator]:
    for task in group.iter_tasks():
        if isinstance(task, BaseOperator | MappedOperator):
            yield task


def _as_list(callbacks: Any) -> list[Any]:
    """What Airflow takes as callbacks: a function, several, or none."""
    return [callbacks] if callable(callbacks) else list(callbacks or [])


def _task_ids(returned: Any) -> set[str]:
    match returned:
        case TaskGroup():
            return {task.task_id for task in returned.iter_tasks()}
        case XComArg():
            return {task.task_id for task, _ in returned.iter_references()}
        case BaseOperator() | MappedOperator():
            return {returned.task_id}
        case _:
            return set()
