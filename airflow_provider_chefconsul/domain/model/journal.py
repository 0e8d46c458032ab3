"""An environment's journal: what was done to its tiers, by whom and why, and what their waits found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.document import SCHEMA, Document, read_document
from airflow_provider_chefconsul.domain.model.writer import Writer

REASON_LIMIT = 500


class JournalAct(StrEnum):
    """What an entry tells of."""

    DECLARED = "declared"
    """A new generation, for a whole tier or for a canary."""
    WIDENED = "widened"
    PACED = "paced"
    """How fast nodes may take up what was assigned already."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    CONVERGED = "converged"
    FAILED = "failed"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    LEASE_TAKEN = "lease_taken"
    LEASE_BROKEN = "lease_broken"
    APPROVED = "approved"
    REJECTED = "rejected"
    GATE_FAILED = "gate_failed"
    """A task of the gate before a wave failed."""
    SLOT_FREED = "slot_freed"
    """A person took a node's ticket away."""


@dataclass(frozen=True, slots=True)
class JournalWave:
    """The part of a tier that an entry is about.

    :param size: how much of the tier, such as "25%".
    :param number: which wave of its rollout; None outside a rollout.
    :param of: how many waves the rollout has; None outside a rollout.
    """

    size: str
    number: int | None = None
    of: int | None = None

    @property
    def has_next(self) -> bool:
        """Whether its rollout has another wave after it."""
        return self.number is not None and self.number != self.of

    def __str__(self) -> str:
        return f"canary of {self.size}" if self.number is None else f"wave {self.number} of {self.of} ({self.size})"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The document under a ``_journal`` key.

    :param at: ISO 8601, UTC, by the clock of whoever acted; for people and for the order of entries.
    :param act: one of :class:`JournalAct`, or what a later version writes.
    :param tiers: by tier, the assignment that the act is about; empty when it is about none.
    :param wave: None when it is about all nodes of its tiers.
    :param reason: at most 500 characters; empty without one.
    :param scope: the tiers of an act that is about no assignment; empty for the whole environment.
    :param node: the node that it is about; None when it is about none in particular.
    """

    at: str
    by: Writer
    act: str
    tiers: Mapping[str, Assignment] = field(default_factory=dict)
    wave: JournalWave | None = None
    reason: str = ""
    scope: tuple[str, ...] = ()
    node: str | None = None

    def concerns(self, tier: str) -> bool:
        """Whether it is about this tier, perhaps among others."""
        return self.names(tier) or not (self.tiers or self.scope)

    def names(self, tier: str) -> bool:
        """Whether it names this tier; one that is about the whole environment names none."""
        return tier in self.tiers or tier in self.scope

    @property
    def is_verdict(self) -> bool:
        """Whether a wait found it."""
        return self.act in {JournalAct.CONVERGED, JournalAct.FAILED}

    @property
    def makes_good(self) -> bool:
        """Whether it says that all nodes of its tiers have converged."""
        return self.act == JournalAct.CONVERGED and self.wave is None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that all entries share that are about the same part of the same assignments."""
        about = sorted((tier, each.generation, each.id) for tier, each in self.tiers.items())
        return sha256(json.dumps([about, str(self.wave)]).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The JSON form."""
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "at": self.at,
            "by": self.by.to_fields(),
            "act": str(self.act),
            "tiers": {tier: assignment.to_fields() for tier, assignment in self.tiers.items()},
            "wave": self.wave and {"number": self.wave.number, "of": self.wave.of, "size": self.wave.size},
            "reason": self.reason[:REASON_LIMIT],
        }
        if self.scope:
            fields["scope"] = list(self.scope)
        if self.node is not None:
            fields["node"] = self.node
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> JournalEntry:
        """Read the document under ``key``.

        :raises MalformedDocument: not the document that belongs there.
        :raises UnknownSchema: a document of another schema.
        """
        document = read_document(key, text)
        tiers = document.child("tiers")
        return cls(
            at=document.text("at"),
            by=Writer.from_document(document.child("by")),
            act=document.text("act"),
            tiers={name: Assignment.from_document(tiers.child(name)) for name in tiers.fields},
            wave=_read_wave(document.child("wave")) if document.has("wave") else None,
            reason=document.text("reason") if document.has("reason") else "",
            scope=_read_scope(document) if document.has("scope") else (),
            node=document.optional_text("node"),
        )


def find_good(entries: Iterable[JournalEntry], tier: str) -> dict[tuple[int, str | None], str]:
    """The generations, with their ids, on which all nodes of a tier have converged, and no wait found otherwise since.

    :param entries: oldest first.
    :returns: by generation and id, ISO 8601, when a wait first found it so.
    """
    good: dict[tuple[int, str | None], str] = {}
    for entry in entries:
        if entry.is_verdict and entry.wave is None and tier in entry.tiers:
            assignment = entry.tiers[tier]
            about = (assignment.generation, assignment.id)
            if entry.makes_good:
                good.setdefault(about, entry.at)
            else:
                good.pop(about, None)
    return good


def _read_wave(document: Document) -> JournalWave:
    number, of = (document.integer(name) if document.has(name) else None for name in ("number", "of"))
    return JournalWave(document.text("size"), number, of)


def _read_scope(document: Document) -> tuple[str, ...]:
    scope = document.sequence("scope")
    if not all(isinstance(each, str) for each in scope):
        raise document.malformed("field scope must list tiers")
    return tuple(scope)
