"""What a node says of its last Chef run: the report and its JSON form (schema 1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from airflow_provider_chefconsul.rollout.desired import Assignment
from airflow_provider_chefconsul.rollout.document import SCHEMA, Document, read_document, shown
from airflow_provider_chefconsul.rollout.one_line import one_line

MESSAGE_LIMIT = 2000


class Status(StrEnum):
    """Where a Chef run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REBOOTING = "rebooting"


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a Chef run failed; ``message`` holds at most 2000 characters, ``resource`` is empty when none is to blame."""

    kind: str
    message: str
    resource: str = ""

    def __str__(self) -> str:
        """One line for logs."""
        return one_line(f"{self.kind}: {self.message}" + (f" in {self.resource}" if self.resource else ""))


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The document under a tier's ``nodes/<node>`` key.

    :param generation: the generation that the run compiled, not the newest; null when it failed before it read one.
    :param source: where the run took its assignment from: ``consul``, ``cache`` or ``default``.
    :param started_at: ISO 8601, UTC, by the node's clock; for people, no decision rests on it.
    """

    node: str
    tier: str
    generation: int | None
    state: str | None
    status: Status
    run_id: str
    started_at: str
    finished_at: str | None = None
    updated_resources: int = 0
    source: str = "consul"
    client: str = ""
    error: RunError | None = None

    def has_converged_on(self, assignment: Assignment) -> bool:
        """Whether this report says that its node is where the assignment wants it."""
        return self.status is Status.SUCCEEDED and self.is_about(assignment) and self.state == assignment.state

    def is_about(self, assignment: Assignment) -> bool:
        """Whether this report's run compiled that assignment's generation."""
        return self.generation == assignment.generation

    def to_json(self) -> str:
        """The JSON form."""
        fields = {"schema": SCHEMA, **asdict(self)}
        if self.error is not None:
            fields["error"] = {
                "class": self.error.kind,
                "message": self.error.message[:MESSAGE_LIMIT],
                "resource": self.error.resource,
            }
        return json.dumps(fields)

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> NodeReport:
        """Read the document under ``key``.

        :raises MalformedDocument: not the document that belongs there.
        :raises UnknownSchema: a document of another schema.
        """
        document = read_document(key, text)
        status = document.text("status")
        if status not in set(Status):
            raise document.malformed(f"field status must be one of {', '.join(Status)}, not {shown(status)}")
        return cls(
            node=document.name("node"),
            tier=document.name("tier"),
            generation=document.integer("generation") if document.has("generation") else None,
            state=document.name("state") if document.has("state") else None,
            status=Status(status),
            run_id=document.text("run_id"),
            started_at=document.text("started_at"),
            finished_at=document.text("finished_at") if document.has("finished_at") else None,
            updated_resources=document.integer("updated_resources") if document.has("updated_resources") else 0,
            source=document.text("source") if document.has("source") else "consul",
            client=document.text("client") if document.has("client") else "",
            error=read_error(document.child("error")) if document.has("error") else None,
        )


def read_error(document: Document) -> RunError:
    """Read the ``error`` of a report."""
    resource = document.text("resource") if document.has("resource") else ""
    return RunError(document.text("class"), document.text("message"), resource)
