"""Entries of the key-value store, decoded from Consul's answers without a dictionary for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

_PIECE = 1 << 19  # bytes; decoding them takes a few milliseconds


class Entry(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A key, its value and the index of its last change.

    :param raw: the value; None for an empty one.
    """

    key: str
    raw: bytes | None = msgspec.field(name="Value")
    modify_index: int

    @property
    def value(self) -> bytes:
        """The value, which may be empty."""
        return self.raw or b""


class CreatedEntry(Entry, frozen=True, gc=False, rename="pascal"):
    """An entry with the index of its creation, which later writes keep."""

    create_index: int


class _Result(msgspec.Struct, frozen=True, gc=False):
    entry: Entry = msgspec.field(name="KV")


class _Answer(msgspec.Struct, frozen=True, gc=False):
    results: list[_Result] | None = msgspec.field(name="Results")


@dataclass(frozen=True, slots=True)
class _Form:
    """How Consul writes many entries.

    :param begin: what comes before the first one.
    :param between: the end of one, a comma and the beginning of the next. It cannot be a part of a string: a string's
        own quotes are escaped, and after the quote that ends it comes a comma, a colon or a bracket.
    :param end: what ends them.
    """

    begin: bytes
    between: bytes
    end: bytes

    def pieces(self, body: bytes) -> Iterator[bytes]:
        """The answer as shorter answers; one, where it is short or not written as Consul does."""
        start, comma = 0, self.between.index(b",")
        while (cut := body.find(self.between, start + _PIECE)) >= 0:
            yield (self.begin if start else b"") + body[start : cut + comma] + self.end
            start = cut + comma + 1
        yield (self.begin + body[start:]) if start else body


_LIST = _Form(b"[", b'},{"LockIndex"', b"]")
_RESULTS = _Form(b'{"Results":[', b'}},{"KV":{"LockIndex"', b"]}")
_DECODE_CREATED = msgspec.json.Decoder(list[CreatedEntry]).decode
_DECODE_LIST = msgspec.json.Decoder(list[Entry]).decode
_DECODE_ANSWER = msgspec.json.Decoder(_Answer).decode


async def decode_list(body: bytes) -> list[Entry]:
    """The entries of a list; others on the event loop get a turn meanwhile.

    :raises ValueError: it is not a list of entries.
    """
    return await _decode(_LIST.pieces(body), _DECODE_LIST)


def decode_created(body: bytes) -> list[CreatedEntry]:
    """The entries of a list, with the indexes of their creation.

    :raises ValueError: it is not a list of entries.
    """
    return _DECODE_CREATED(body)


async def decode_results(body: bytes) -> list[Entry]:
    """What a transaction read, in the order of its operations; others on the event loop get a turn meanwhile.

    :raises ValueError: it is another answer.
    """
    return await _decode(
        _RESULTS.pieces(body), lambda piece: [result.entry for result in _DECODE_ANSWER(piece).results or ()]
    )


async def _decode(pieces: Iterator[bytes], decode: Callable[[bytes], list[Entry]]) -> list[Entry]:
    found: list[Entry] = []
    for piece in pieces:
        try:
            found += decode(piece)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        await asyncio.sleep(0)
    return found
