"""Passing on only what the author of a Dag gave, so that ``default_args`` apply to everything else."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from airflow.sdk import BaseOperator


class NotGiven(Enum):
    """Stands for a parameter that the author did not give; None is a value of some."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """As signatures show it."""
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that the author gave."""
    return {name: value for name, value in parameters.items() if value is not NOT_GIVEN}


def default_args_of(task: BaseOperator) -> Mapping[str, Any]:
    """The ``default_args`` that apply to a task: those of its Dag, and of the groups around it."""
    dag, group = task.get_dag(), task.task_group
    return {**(dag.default_args if dag else {}), **(group.default_args if group else {})}


def or_default(value: Any, task: BaseOperator, name: str, builtin: Any) -> Any:
    """The value of a parameter for a task beside this one: as given, else from ``default_args``, else built in."""
    return default_args_of(task).get(name, builtin) if value is NOT_GIVEN else value
