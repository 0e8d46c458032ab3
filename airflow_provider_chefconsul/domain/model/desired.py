"""What a tier should be: the desired state, its assignments, and their JSON form (schema 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_chefconsul.domain.model.canary import BUCKETS, bucket
from airflow_provider_chefconsul.domain.model.document import SCHEMA, Document, read_document, shown
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.pace import NO_LIMIT, AssignmentPace
from airflow_provider_chefconsul.domain.model.values import Scalar, is_same, is_scalar
from airflow_provider_chefconsul.domain.model.writer import Writer


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one node should reach: a state with its values, at a generation.

    :param id: random, made with the generation, so that a report on another assignment never passes for one on this;
        None in documents of older writers.
    :param pace: how fast nodes may take it up; no part of what makes it the same as another.
    """

    generation: int
    state: str
    values: Mapping[str, Scalar] = field(default_factory=dict)
    id: str | None = None
    pace: AssignmentPace = NO_LIMIT

    def has_content(self, state: str, values: Mapping[str, Scalar]) -> bool:
        """Whether this assignment has this state and these values; 1, 1.0 and true are different values."""
        return (
            self.state == state
            and self.values.keys() == values.keys()
            and all(is_same(self.values[name], values[name]) for name in values)
        )

    def is_same_as(self, other: Assignment) -> bool:
        """Whether both are the same assignment, by generation and id."""
        return self.is_identified_by(other.generation, other.id)

    def is_identified_by(self, generation: int | None, assignment_id: str | None) -> bool:
        """Whether these identify this assignment; older writers and clients give no id.

        A generation can be reused, after a tier was deleted or a snapshot of Consul restored; an id cannot.
        """
        return self.generation == generation and (self.id is None or assignment_id is None or self.id == assignment_id)

    def describe(self) -> str:
        """For logs and commands: "generation 7, state converged, release=2.5.0"."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.values.items()}
        values = "".join(f", {name}={text}" for name, text in texts.items())
        pace = f", {self.pace}" if self.pace != NO_LIMIT else ""
        return f"generation {self.generation}, state {self.state}{values}{pace}"

    def delay_of(self, node: str) -> float:
        """How many seconds after it saw the assignment a watching node begins; retries do not move it."""
        return bucket(self.id or str(self.generation), node) / BUCKETS * self.pace.spread_over

    def to_fields(self) -> dict[str, Any]:
        """The JSON form as a dict."""
        fields = {"generation": self.generation, "state": self.state, "values": dict(self.values)}
        return {**fields, **({} if self.id is None else {"id": self.id}), **self.pace.to_fields()}

    @classmethod
    def from_document(cls, document: Document) -> Assignment:
        """Read the JSON form."""
        values = document.child("values").fields if document.has("values") else {}
        for name, value in values.items():
            if not is_scalar(value):
                raise document.malformed(
                    f"field {document.path}values.{name} must be a JSON scalar, not {shown(value)}"
                )
        assignment_id = document.text("id") if document.has("id") else None
        pace = AssignmentPace.from_document(document)
        return cls(document.integer("generation"), document.name("state"), values, assignment_id, pace)


@dataclass(frozen=True, slots=True)
class Canary:
    """A second assignment for some of a tier's nodes: those named, and those whose bucket is below the threshold."""

    assignment: Assignment
    salt: str
    threshold: int
    nodes: tuple[str, ...] = ()

    def describe_nodes(self) -> str:
        """The nodes it covers: "nodes web-1, web-2" or "the nodes below threshold 42949673 (1 % of all names)"."""
        if self.threshold == BUCKETS:
            return "all nodes"
        named = f"nodes {', '.join(self.nodes)}" if self.nodes else ""
        if self.threshold == 0:
            return named or "no node"
        share = round(100 * self.threshold / BUCKETS)
        some = f"the nodes below threshold {self.threshold} ({min(share, 99) or 'under 1'} % of all names)"
        return f"{named} and {some}" if named else some

    def has_node(self, node: str) -> bool:
        """Whether the canary covers the node."""
        return node in self.nodes or bucket(self.salt, node) < self.threshold


@dataclass(frozen=True, slots=True)
class Aborted:
    """A rollout that somebody called off; its Dag run may not move the tier again.

    :param generation: of its canary.
    """

    dag_id: str
    run_id: str
    generation: int
    by: Writer
    reason: str

    def is_of(self, writer: Writer) -> bool:
        """Whether the writer belongs to the Dag run whose rollout was aborted."""
        return (self.dag_id, self.run_id) == (writer.dag_id, writer.run_id)

    def __str__(self) -> str:
        return f"the rollout of generation {self.generation} was aborted by {self.by}: {self.reason}"

    def to_fields(self) -> dict[str, Any]:
        """The JSON form as a dict."""
        return {**asdict(self), "by": self.by.to_fields()}

    @classmethod
    def from_document(cls, document: Document) -> Aborted:
        """Read the JSON form."""
        return cls(
            document.text("dag_id"),
            document.text("run_id"),
            document.integer("generation"),
            Writer.from_document(document.child("by")),
            document.text("reason"),
        )


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The document under a tier's ``desired`` key.

    :param generation: the newest generation of the tier; grows by one with each new assignment.
    :param sequence: the logical time the write belongs to, in seconds since the epoch; None without one.
    :param written_at: ISO 8601, UTC, by the writer's clock; for people only.
    :param previous: the generation that was stable before this one; what a rollback goes back to.
    :param aborted: the last rollout of the tier that was aborted.
    """

    generation: int
    stable: Assignment
    written_by: Writer
    written_at: str
    sequence: int | None = None
    canary: Canary | None = None
    previous: int | None = None
    aborted: Aborted | None = None

    def assignment_for(self, node: str) -> Assignment:
        """The assignment of one node: the canary's when it covers the node, else the stable one."""
        if self.canary is not None and self.canary.has_node(node):
            return self.canary.assignment
        return self.stable

    @property
    def newest(self) -> Assignment:
        """The assignment that was made last: the canary's while one is out, else the stable one."""
        return self.stable if self.canary is None else self.canary.assignment

    def is_of_canary(self, generation: int) -> bool:
        """Whether the canary that is out has that generation."""
        return self.canary is not None and self.canary.assignment.generation == generation

    def assignment_at(self, generation: int) -> Assignment:
        """The assignment that this document declared at a generation: the canary's or the stable one."""
        return self.newest if self.is_of_canary(generation) else self.stable

    def previous_at(self, generation: int) -> int | None:
        """The stable generation before that one; for a canary's, the stable one beside it."""
        return self.stable.generation if self.is_of_canary(generation) else self.previous

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """The stable assignment and, while one is out, the canary's."""
        return (self.stable, self.canary.assignment) if self.canary else (self.stable,)

    @property
    def generations(self) -> frozenset[int]:
        """The generations that nodes are assigned now."""
        return frozenset(assignment.generation for assignment in self.assignments)

    def to_json(self) -> str:
        """The JSON form; the same content always gives the same text."""
        canary = self.canary and {
            **self.canary.assignment.to_fields(),
            "salt": self.canary.salt,
            "threshold": self.canary.threshold,
            "nodes": list(self.canary.nodes),
        }
        fields = {
            "schema": SCHEMA,
            "generation": self.generation,
            "stable": self.stable.to_fields(),
            "canary": canary,
            "sequence": self.sequence,
            "written_by": self.written_by.to_fields(),
            "written_at": self.written_at,
            "previous": self.previous,
        }
        if self.aborted is not None:
            fields["aborted"] = self.aborted.to_fields()
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> DesiredState:
        """Read the document under ``key``.

        :raises MalformedDocument: not the document that belongs there.
        :raises UnknownSchema: a document of another schema.
        """
        document = read_document(key, text)
        canary = _read_canary(document.child("canary")) if document.has("canary") else None
        writer = document.child("written_by")
        return cls(
            generation=document.integer("generation"),
            stable=Assignment.from_document(document.child("stable")),
            written_by=Writer.from_document(writer),
            written_at=document.text("written_at"),
            sequence=document.integer("sequence") if document.has("sequence") else None,
            canary=canary,
            previous=document.integer("previous") if document.has("previous") else None,
            aborted=Aborted.from_document(document.child("aborted")) if document.has("aborted") else None,
        )


def _read_canary(document: Document) -> Canary:
    nodes = document.sequence("nodes")
    if not all(is_name(node) for node in nodes):
        raise document.malformed(f"field {document.path}nodes must list node names")
    return Canary(
        assignment=Assignment.from_document(document),
        salt=document.name("salt"),
        threshold=document.integer("threshold", maximum=BUCKETS),
        nodes=tuple(nodes),
    )
