"""A freeze: tiers that nobody may move, who says so, until when and why. Pure; time is a parameter."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_chefconsul.domain.model.document import SCHEMA, Document, read_document
from airflow_provider_chefconsul.domain.model.name import check_name, is_name
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.moment import read_moment, write_moment
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument

EVERY_TIER = "*"
"""What stands for all tiers of an environment, also those that are declared later."""


@dataclass(frozen=True, slots=True)
class FreezeEntry:
    """Who froze a tier, or all of them.

    :param since: ISO 8601, UTC, by the clock of whoever froze it; for people only.
    :param until: ISO 8601, UTC; None until somebody ends it.
    """

    by: Writer
    since: str
    until: str | None
    reason: str

    def has_ended(self, now: datetime) -> bool:
        """Whether its time is over, by the clock of whoever wants to write."""
        until = read_moment(self.until)
        return until is not None and until <= now

    def describe(self) -> str:
        """Who froze it, since when, until when and why, in one line."""
        until = f"until {self.until}" if self.until else "until somebody ends it"
        return f"frozen by {self.by} since {self.since}, {until}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """The document under an environment's ``_freeze`` key.

    :param entries: by tier, or ``"*"`` for all tiers.
    """

    entries: Mapping[str, FreezeEntry] = field(default_factory=dict)

    def of_tier(self, tier: str, *, now: datetime) -> Freeze:
        """Only what keeps a tier frozen, its own entry first."""
        names = [name for name in (tier, EVERY_TIER) if name in self.entries]
        return Freeze({name: self.entries[name] for name in names}).current(now=now)

    def find(self, tier: str, *, now: datetime) -> FreezeEntry | None:
        """What keeps a tier frozen; None when nothing does."""
        return next(iter(self.of_tier(tier, now=now).entries.values()), None)

    def current(self, *, now: datetime) -> Freeze:
        """Without the entries that have ended."""
        return Freeze({name: entry for name, entry in self.entries.items() if not entry.has_ended(now)})

    def with_entry(self, names: Collection[str], entry: FreezeEntry) -> Freeze:
        """With these tiers frozen, too; an entry replaces the tier's earlier one."""
        return Freeze({**self.entries, **dict.fromkeys(names, entry)})

    def without(self, names: Collection[str]) -> Freeze:
        """Without these tiers' entries."""
        return Freeze({name: entry for name, entry in self.entries.items() if name not in names})

    def to_json(self) -> str:
        """The JSON form."""
        entries = {
            name: {"by": each.by.to_fields(), "since": each.since, "until": each.until, "reason": each.reason}
            for name, each in self.entries.items()
        }
        return json.dumps({"schema": SCHEMA, "entries": entries})

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> Freeze:
        """Read the document under ``key``.

        :raises MalformedDocument: not a freeze; says how to remove it.
        :raises UnknownSchema: a document of another schema.
        """
        try:
            entries = read_document(key, text).child("entries")
            return cls({_read_name(entries, name): _read_entry(entries.child(name)) for name in entries.fields})
        except MalformedDocument as error:  # nobody may write until somebody deletes it
            raise error.advise("delete this key to end every freeze of the environment") from error


NOT_FROZEN = Freeze()


def make_freeze_entry(by: Writer, reason: object, until: object, *, now: datetime) -> FreezeEntry:
    """An entry that begins now.

    :param until: ISO 8601 with an offset, or a timezone-aware datetime; None until somebody ends it.
    :raises InvalidInput: there is no reason, or ``until`` is no such time or has passed.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidInput(f"reason must say why, for those who have to wait, not {reason!r}")
    return FreezeEntry(by, write_moment(now), _check_until(until, now), reason.strip())


def check_frozen_tiers(tiers: Collection[str]) -> list[str]:
    """The entries that a freeze of these tiers has: the tiers, or ``"*"`` when none is named.

    :raises InvalidInput: names the text that is not a valid name.
    """
    if isinstance(tiers, str):
        tiers = [tiers]
    return [tier if tier == EVERY_TIER else check_name("tier", tier) for tier in tiers] or [EVERY_TIER]


def _check_until(until: object, now: datetime) -> str | None:
    if until is None or until == "":
        return None
    moment = until if isinstance(until, datetime) else read_moment(until if isinstance(until, str) else None)
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"until must be a time with an offset, such as 2026-12-01T08:00:00+01:00, not {str(until)!r}"
        )
    if moment <= now:
        raise InvalidInput(f"until lies in the past: {write_moment(moment)}; it is {write_moment(now)} now")
    return write_moment(moment)


def _read_name(entries: Document, name: str) -> str:
    if name == EVERY_TIER or is_name(name):
        return name
    raise entries.malformed(f"field entries names {name!r}, which is neither a tier nor {EVERY_TIER!r}")


def _read_entry(document: Document) -> FreezeEntry:
    until = document.optional_text("until")
    if until is not None and read_moment(until) is None:
        raise document.malformed(f"field {document.path}until is not a time with an offset: {until!r:.80}")
    return FreezeEntry(
        Writer.from_document(document.child("by")), document.text("since"), until, document.text("reason")
    )
