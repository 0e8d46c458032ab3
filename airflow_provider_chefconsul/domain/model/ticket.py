"""A node's ticket for a slot of its tier, and its JSON form (schema 1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from airflow_provider_chefconsul.domain.model.document import SCHEMA, Document, read_document, shown


@dataclass(frozen=True, slots=True)
class Ticket:
    """The document under a tier's ``_slots/<node>`` key: the node holds a slot, or waits for one.

    Times are by the node's clock, for people only; Consul's CreateIndex orders tickets, and no decision rests on a
    clock of another machine.

    :param node_id: Consul's id of the machine; None where the node may not read it.
    :param generation: with ``id``, the assignment that the node is about to converge on.
    :param group: the value of the metadata that ``per`` names; empty without it.
    :param since: when the node began to wait, ISO 8601, UTC.
    :param held_since: since when it holds a slot; None while it waits.
    :param ttl: seconds after which the ticket counts as left behind, unless it is renewed.
    :param is_failed: its run failed; it keeps the slot until a run of it succeeds or a person frees it.
    :param renewals: how often it was written; Consul takes no notice of a write that changes nothing.
    """

    node: str
    node_id: str | None
    run_id: str
    generation: int
    id: str | None
    group: str
    since: str
    held_since: str | None
    ttl: int
    is_failed: bool = False
    renewals: int = 0

    @property
    def is_held(self) -> bool:
        """Whether its node holds a slot."""
        return self.held_since is not None

    def is_of_other_machine(self, node_id: str | None) -> bool:
        """Whether another machine of the same name wrote it, as far as both ids are known."""
        return self.node_id is not None and node_id is not None and self.node_id != node_id

    def renew(self) -> Ticket:
        """The same ticket, to be written again."""
        return replace(self, renewals=self.renewals + 1)

    def is_renewal_of(self, other: Ticket) -> bool:
        """Whether it says the same, and was only written again."""
        return replace(self, renewals=other.renewals) == other

    def to_json(self) -> str:
        """The JSON form."""
        fields = {"schema": SCHEMA, **asdict(self)}
        fields["failed"] = fields.pop("is_failed")
        return json.dumps(fields)

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> Ticket:
        """Read the document under ``key``, whose last part is the node.

        :raises MalformedDocument: not the document that belongs there.
        :raises UnknownSchema: a document of another schema.
        """
        document = read_document(key, text)
        if document.name("node") != key.rpartition("/")[2]:
            raise document.malformed(f"is a ticket of node {document.text('node')}, which does not belong there")
        return cls(
            node=document.name("node"),
            node_id=document.optional_text("node_id"),
            run_id=document.text("run_id"),
            generation=document.integer("generation"),
            id=document.optional_text("id"),
            group=document.text("group"),
            since=document.text("since"),
            held_since=document.optional_text("held_since"),
            ttl=document.integer("ttl", minimum=1),
            is_failed=_read_failed(document),
            renewals=document.integer("renewals") if document.has("renewals") else 0,
        )


def _read_failed(document: Document) -> bool:
    failed = document.fields.get("failed", False)
    if not isinstance(failed, bool):
        raise document.malformed(f"field failed must be true or false, not {shown(failed)}")
    return failed
