"""Who writes: a task instance, or a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_chefconsul.domain.model.document import Document

COMMAND_LINE = "airflow chefconsul"
"""The Dag id in writes from the command line; no Dag can have it, since it contains a space."""
BOARD = "rollout board"
"""The Dag id in writes from the rollout board."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The task instance that wrote a desired state.

    For :data:`COMMAND_LINE` and :data:`BOARD`, ``run_id`` says who did it and when, and ``task_id`` is the command.

    :param transition: which of its transitions, from 1, where a task makes several; None where it makes one.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    transition: int | None = None

    @property
    def is_person(self) -> bool:
        """Whether it is no task instance, but somebody who acted by hand."""
        return self.dag_id in {COMMAND_LINE, BOARD}

    def __str__(self) -> str:
        if self.dag_id == BOARD:
            return f"{self.run_id} ({self.dag_id}, {self.task_id})"
        if self.dag_id == COMMAND_LINE:
            return f"{self.dag_id} {self.task_id}, {self.run_id}"
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        number = f", step {self.transition}" if self.transition is not None else ""
        return f"Dag {self.dag_id}, run {self.run_id}, task {self.task_id}{mapped}{number}"

    def to_fields(self) -> dict[str, Any]:
        """The JSON form as a dict."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if name != "transition" or value is not None}

    @classmethod
    def from_document(cls, document: Document) -> Writer:
        """Read the JSON form."""
        return cls(
            document.text("dag_id"),
            document.text("run_id"),
            document.text("task_id"),
            document.integer("map_index", minimum=-1),
            document.integer("transition", minimum=1) if document.has("transition") else None,
        )

    def is_same_run(self, other: Writer) -> bool:
        """Whether both belong to the same Dag run."""
        return (self.dag_id, self.run_id) == (other.dag_id, other.run_id)
