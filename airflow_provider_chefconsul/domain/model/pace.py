"""How fast a tier's nodes may take an assignment up: how many at one time, and over how long they begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_chefconsul.domain.model.document import Document, shown

_PER = "meta:"


@dataclass(frozen=True, slots=True)
class AssignmentPace:
    """The limits of an assignment; nodes keep them by themselves, whatever runs Chef on them.

    :param max_parallel: how many nodes may converge at one time; None is any number.
    :param per: ``"meta:KEY"``: the limit holds among the nodes with the same value of that metadata, such as a rack;
        None is the whole tier.
    :param spread_over: for how many seconds watching nodes begin one after the other; 0 is all at once.
    """

    max_parallel: int | None = None
    per: str | None = None
    spread_over: int = 0

    def group_of(self, meta: dict[str, str]) -> str:
        """The group within which a node with that metadata takes a slot."""
        return "" if self.per is None else meta.get(self.per.removeprefix(_PER), "")

    def __str__(self) -> str:
        """For logs and commands: "2 slots per meta:rack, spread over 300 s"."""
        slots = f"{self.max_parallel} slot{'' if self.max_parallel == 1 else 's'}"
        per = f" per {self.per}" if self.per else ""
        parts = [f"{slots}{per}"] if self.max_parallel is not None else []
        parts += [f"spread over {self.spread_over} s"] if self.spread_over else []
        return ", ".join(parts) or "no limit"

    def to_fields(self) -> dict[str, Any]:
        """The JSON form, a part of the assignment's; what is not limited is left out."""
        fields = {"max_parallel": self.max_parallel, "per": self.per, "spread_over": self.spread_over}
        return {name: value for name, value in fields.items() if value}

    @classmethod
    def from_document(cls, document: Document) -> AssignmentPace:
        """Read the assignment's part."""
        per = document.optional_text("per")
        if per is not None and not is_per(per):
            raise document.malformed(f'field {document.path}per must be "meta:KEY", not {shown(per)}')
        return cls(
            document.integer("max_parallel", minimum=1) if document.has("max_parallel") else None,
            per,
            document.integer("spread_over") if document.has("spread_over") else 0,
        )


NO_LIMIT = AssignmentPace()


def is_per(text: object) -> bool:
    """Whether it names a key of node metadata: ``"meta:KEY"``."""
    return isinstance(text, str) and text.startswith(_PER) and len(text) > len(_PER)
