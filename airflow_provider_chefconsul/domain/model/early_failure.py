"""A Chef run that died before it read any tier: what a node's ``_nodes`` key says of it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.document import read_document
from airflow_provider_chefconsul.domain.model.report import RunError, read_error


@dataclass(frozen=True, slots=True)
class EarlyFailure:
    """The document under an environment's ``_nodes/<node>`` key; it stays there when later runs succeed.

    :param finished_at: ISO 8601, UTC, by the node's clock.
    :param modify_index: the key's ModifyIndex; what the node reported later has a higher one.
    """

    node: str
    finished_at: str
    error: RunError
    modify_index: int

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None, modify_index: int) -> EarlyFailure:
        """Read the document under ``key``.

        :raises MalformedDocument: not the document that belongs there.
        :raises UnknownSchema: a document of another schema.
        """
        document = read_document(key, text)
        error = read_error(document.child("error"))
        return cls(document.name("node"), document.text("finished_at"), error, modify_index)
