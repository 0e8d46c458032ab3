"""A node's report of its last Chef run, and its JSON form (schema 1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.document import SCHEMA, Document, read_document, shown
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.text import one_line

MESSAGE_LIMIT = 2000


class Status(StrEnum):
    """The status of a Chef run."""

    WAITING = "waiting"
    """It waits for a slot; nothing of the assignment has been done yet."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REBOOTING = "rebooting"
    INTERRUPTED = "interrupted"
    """Cut off from outside, by a shutdown or a stop of its unit: not a failure of the release; the next run decides."""


_STATUSES = {status.value: status for status in Status}
_UNFINISHED = {Status.WAITING, Status.RUNNING, Status.REBOOTING, Status.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a Chef run failed; ``message`` has at most 2000 characters, ``resource`` is empty if no resource failed."""

    kind: str
    message: str
    resource: str = ""

    def __str__(self) -> str:
        """One line for logs."""
        return one_line(f"{self.kind}: {self.message}" + (f" in {self.resource}" if self.resource else ""))


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """What a waiting node waits for: a slot.

    :param slot: who holds the slots, as far as it names them.
    :param of: how many slots there are.
    :param ahead: how many nodes are ahead of it, those that hold slots among them.
    """

    slot: tuple[str, ...]
    of: int
    ahead: int

    def __str__(self) -> str:
        """For people: "behind web-1, web-2; 2 slots, 17 ahead of it"."""
        held = f"behind {', '.join(self.slot)}; " if self.slot else ""
        return f"{held}{self.of} slot{'' if self.of == 1 else 's'}, {self.ahead} ahead of it"


@dataclass(frozen=True, slots=True)
class Mended:
    """The drift that runs of a converged node mended on one day.

    :param on: the day, in UTC: "2026-11-30".
    :param runs: how many runs changed something.
    :param resources: how much they changed.
    """

    on: str
    runs: int
    resources: int

    def __str__(self) -> str:
        """For people: "4 resources mended in 2 runs"."""
        resources = f"{self.resources} resource{'' if self.resources == 1 else 's'}"
        return f"{resources} mended in {self.runs} run{'' if self.runs == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The document under a tier's ``nodes/<node>`` key.

    :param generation: the generation that the run compiled, not the newest; null when it failed before it read one.
    :param source: where the run took its assignment from: ``consul``, ``cache`` or ``default``.
    :param started_at: ISO 8601, UTC, by the node's clock; for people only; no decision rests on it.
    :param id: the id of the assignment that the run compiled; None in the reports of older clients.
    :param node_id: Consul's id of the machine; None where the node may not read it.
    :param previous_status: how the run before ended on the same assignment, see :func:`previous_status`; None when
        there was none, and in reports of older clients.
    :param waits_for: what a run waits for whose status is ``waiting``.
    :param mended: the drift that was mended on the day of the last such run; None when there was none.
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
    id: str | None = None
    node_id: str | None = None
    previous_status: Status | None = None
    waits_for: WaitsFor | None = None
    mended: Mended | None = None

    def has_converged_on(self, assignment: Assignment) -> bool:
        """Whether this report says that its node has converged on the assignment."""
        return self.status is Status.SUCCEEDED and self.is_about(assignment) and self.state == assignment.state

    def is_about(self, assignment: Assignment) -> bool:
        """Whether this report's run compiled that assignment."""
        return assignment.is_identified_by(self.generation, self.id)

    @property
    def is_unfinished(self) -> bool:
        """Whether its run has not yet ended with a success or a failure."""
        return self.status in _UNFINISHED

    @property
    def is_after_failure(self) -> bool:
        """Whether the last run that finished failed, though a later one has begun."""
        return self.is_unfinished and self.previous_status is Status.FAILED

    @property
    def shows_success_before(self) -> bool:
        """Whether it says that the run before succeeded on the same assignment."""
        return self.previous_status is Status.SUCCEEDED

    @property
    def is_silent_of_before(self) -> bool:
        """Whether it says nothing about the run before, like the reports of older clients."""
        return self.previous_status is None and self.id is None

    def is_of_other_machine(self, node_id: str | None) -> bool:
        """Whether an earlier machine of the same name wrote this, as far as both ids are known."""
        return self.node_id is not None and node_id is not None and self.node_id != node_id

    def to_json(self) -> str:
        """The JSON form."""
        fields = {"schema": SCHEMA, **asdict(self)}
        for name in ("waits_for", "mended"):
            if fields[name] is None:
                del fields[name]
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

        :raises MalformedDocument: the document is not one that belongs there.
        :raises UnknownSchema: the document has another schema.
        """
        document = read_document(key, text)
        has, optional_text = document.has, document.optional_text
        return cls(
            node=document.name("node"),
            tier=document.name("tier"),
            generation=document.integer("generation") if has("generation") else None,
            state=document.name("state") if has("state") else None,
            status=_read_status(document, "status"),
            run_id=document.text("run_id"),
            started_at=document.text("started_at"),
            finished_at=optional_text("finished_at"),
            updated_resources=document.integer("updated_resources") if has("updated_resources") else 0,
            source=document.text("source") if has("source") else "consul",
            client=document.text("client") if has("client") else "",
            error=read_error(document.child("error")) if has("error") else None,
            id=optional_text("id"),
            node_id=optional_text("node_id"),
            previous_status=_read_status(document, "previous_status") if has("previous_status") else None,
            waits_for=_read_waits_for(document.child("waits_for")) if has("waits_for") else None,
            mended=_read_mended(document.child("mended")) if has("mended") else None,
        )


def previous_status(before: NodeReport | None, assignment: Assignment) -> Status | None:
    """What the report of a new run on the assignment says about the run before it.

    A failure does not vanish behind runs that never finished; only a finished run replaces it. A run that only waited
    has come to nothing: so no later report says "waiting" here, which older readers do not know.

    :param before: the node's report when the new run begins.
    """
    if before is None or not before.is_about(assignment):
        return None
    if before.status in _UNFINISHED and before.previous_status is Status.FAILED:
        return Status.FAILED
    if before.status is Status.WAITING:
        return before.previous_status
    return before.status


def _read_status(document: Document, name: str) -> Status:
    text = document.text(name)
    status = _STATUSES.get(text)
    if status is None:
        raise document.malformed(f"field {name} must be one of {', '.join(Status)}, not {shown(text)}")
    return status


def _read_waits_for(document: Document) -> WaitsFor:
    names = document.sequence("slot")
    if not all(is_name(name) for name in names):
        raise document.malformed(f"field {document.path}slot must list node names")
    return WaitsFor(tuple(names), document.integer("of"), document.integer("ahead"))


def _read_mended(document: Document) -> Mended:
    return Mended(document.text("on"), document.integer("runs"), document.integer("resources"))


def read_error(document: Document) -> RunError:
    """Read the ``error`` of a report."""
    resource = document.text("resource") if document.has("resource") else ""
    return RunError(document.text("class"), document.text("message"), resource)
