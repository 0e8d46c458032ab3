"""Entries of the key-value store, decoded from Consul's answers without a dictionary for each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

_PIECE = 1 << 19  # bytes; decoding them takes a few milliseconds
# Between two entries as Consul writes them. It cannot be a part of a string: a string's own quotes are escaped, and
# after the quote that ends it comes a comma, a colon or a bracket.
_BETWEEN = b'},{"LockIndex"'


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


class _Result(msgspec.Struct, frozen=True, gc=False):
    entry: Entry = msgspec.field(name="KV")


class _Answer(msgspec.Struct, frozen=True, gc=False):
    results: list[_Result] | None = msgspec.field(name="Results")


_LIST = msgspec.json.Decoder(list[Entry])
_ANSWER = msgspec.json.Decoder(_Answer)


async def decode_list(body: bytes) -> list[Entry]:
    """The entries of a list; others on the event loop get a turn meanwhile.

    :raises ValueError: it is not a list of entries.
    """
    found: list[Entry] = []
    for piece in _pieces(body):
        found += _LIST.decode(piece)
        await asyncio.sleep(0)
    return found


def decode_results(body: str) -> list[Entry]:
    """What a transaction read, in the order of its operations.

    :raises ValueError: it is another answer.
    """
    return [result.entry for result in _ANSWER.decode(body).results or ()]


def _pieces(body: bytes) -> Iterator[bytes]:
    """The list as shorter lists; one, where it is short or not written as Consul does."""
    start = 0
    while (cut := body.find(_BETWEEN, start + _PIECE)) >= 0:
        yield (b"[" if start else b"") + body[start : cut + 1] + b"]"
        start = cut + 2
    yield (b"[" + body[start:]) if start else body
