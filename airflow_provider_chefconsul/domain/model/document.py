"""Reading JSON documents of the shared data view: typed fields, one error that names the key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.exceptions import MalformedDocument, UnknownSchema

SCHEMA = 1
DEEPEST = 64
"""The deepest nesting of objects and lists, counting the document itself; both languages refuse more."""

# Matches an unterminated string, too; else each quote in it would be tried as the start of another.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)


def fits_64_bits(number: int) -> bool:
    """Whether an integer fits 64 bits; other languages round or refuse longer ones."""
    return -(2**63) <= number < 2**63


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > DEEPEST:
            raise ValueError(f"nesting of {depth} is too deep")


def _parse_integer(digits: str) -> int:
    number = int(digits)
    if not fits_64_bits(number):
        raise ValueError("an integer of more than 64 bits")
    return number


# json.loads would make one for each document.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_integer)


def shown(value: object) -> str:
    """The start of a value's JSON form, for messages; the cookbook's are the same."""
    return json.dumps(value, separators=(",", ":"))[:80]


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object under a key, with typed access to its fields; unknown fields are ignored."""

    key: str
    fields: Mapping[str, Any]
    path: str = ""

    def integer(self, name: str, *, minimum: int = 0, maximum: int | None = None) -> int:
        """An integer field within bounds; JSON's true and 1.0 are not integers."""
        value = self.fields.get(name)
        if type(value) is not int:
            raise self._wrong(name, "an integer", self._required(name))
        if value < minimum or (maximum is not None and value > maximum):
            raise self._wrong(name, f"from {minimum} to {maximum}" if maximum else f"at least {minimum}", value)
        return value

    def text(self, name: str) -> str:
        """A string field."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string", self._required(name))
        return value

    def optional_text(self, name: str) -> str | None:
        """A string field that may be missing or null."""
        return self.text(name) if self.fields.get(name) is not None else None

    def name(self, name: str) -> str:
        """A string field that is a valid name."""
        value = self.text(name)
        if not is_name(value):
            raise self._wrong(name, "a name (letters, digits, '.', '_', '-')", value)
        return value

    def child(self, name: str) -> Document:
        """An object field."""
        value = self._required(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return Document(self.key, value, f"{self.path}{name}.")

    def sequence(self, name: str) -> Sequence[Any]:
        """A list field."""
        value = self._required(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return value

    def has(self, name: str) -> bool:
        """Whether the field exists and is not null."""
        return self.fields.get(name) is not None

    def malformed(self, problem: str) -> MalformedDocument:
        """An error that names this document's key."""
        return MalformedDocument(self.key, problem)

    def _required(self, name: str) -> Any:
        if name not in self.fields:
            raise self.malformed(f"field {self.path}{name} is missing")
        return self.fields[name]

    def _wrong(self, name: str, expected: str, value: object) -> MalformedDocument:
        return MalformedDocument(self.key, f"field {self.path}{name} must be {expected}", value=shown(value))


def read_document(key: str, text: str | bytes | None) -> Document:
    """Parse the value of ``key`` into a document of the schema that this version knows.

    :raises MalformedDocument: it is not a JSON object, or has no schema.
    :raises UnknownSchema: it names another schema.
    """
    document = read_object(key, text)
    schema = document.integer("schema", minimum=1)
    if schema != SCHEMA:
        raise UnknownSchema(key, f"schema {schema} is unknown, this version knows schema {SCHEMA}: upgrade it first")
    return document


def read_object(key: str, text: str | bytes | None) -> Document:
    """Parse the value of ``key``, whoever wrote it.

    :raises MalformedDocument: it is not a JSON object.
    """
    try:
        # Strict UTF-8 and no NaN: both languages must agree on what a document is.
        decoded = text.decode() if isinstance(text, bytes) else text or ""
        _check_depth(decoded)
        fields = _DECODER.decode(decoded)
        if "\\u" in decoded:  # an escape can be half of a surrogate pair, which other languages refuse
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(key, f"not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise MalformedDocument(key, "must be a JSON object", value=shown(fields))
    return Document(key, fields)
