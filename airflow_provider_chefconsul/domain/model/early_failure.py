"""A Chef run that ended before it had read a tier, as reported under a node's ``_nodes`` key."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.document import read_document
from airflow_provider_chefconsul.domain.model.report import RunError, read_error


@dataclass(frozen=True, slots=True)
class EarlyFailure:
    """The document under an environment's ``_nodes/<node>`` key; later runs leave it there.

    :param finished_at: ISO 8601, UTC, by the node's clock.
    :param modify_index: the key's ModifyIndex; later reports of the node have a higher one.
    """

    node: str
    finished_at: str
    error: RunError
    modify_index: int

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None, modify_index: int) -> EarlyFailure:
        """Read the document under ``key``.

        :raises MalformedDocument: the document is not one that belongs there.
        :raises UnknownSchema: the document has another schema.
        """
        document = read_document(key, text)
        error = read_error(document.child("error"))
        return cls(document.name("node"), document.text("finished_at"), error, modify_index)
