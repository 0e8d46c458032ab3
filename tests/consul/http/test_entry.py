"""Entries, decoded from answers as Consul writes them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.http import entry as entry_module
from airflow_provider_chefconsul.consul.http.entry import Entry, decode_list, decode_results

NESTED = b'[{"a": ' + b"[" * 100_000
CUT = '},{"LockIndex"'
CUT_RESULT = '}},{"KV":{"LockIndex"'
keys = st.text() | st.sampled_from([CUT, f"a{CUT}:0", CUT_RESULT, "},{", "\\"])
entries = st.lists(st.builds(Entry, keys, st.none() | st.binary(min_size=1), st.integers(1, 2**63)))


def fields(entry: Entry) -> dict[str, object]:
    """An entry's fields in Consul's order."""
    return {
        "LockIndex": 0,
        "Key": entry.key,
        "Flags": 0,
        "Value": entry.raw and base64.b64encode(entry.raw).decode(),
        "CreateIndex": 1,
        "ModifyIndex": entry.modify_index,
    }


def answer(of: list[Entry], **style: object) -> bytes:
    """A list."""
    return json.dumps([fields(each) for each in of], **style).encode()


def results(of: list[Entry], **style: object) -> bytes:
    """A transaction's answer."""
    found = [{"KV": fields(each)} for each in of] or None
    return json.dumps({"Results": found, "Errors": None, "Index": 7, "KnownLeader": True}, **style).encode()


@pytest.mark.parametrize("size", [0, 50, 1 << 19])
@pytest.mark.parametrize("style", [{"separators": (",", ":")}, {}, {"indent": 2}], ids=["consul", "spaces", "lines"])
@pytest.mark.parametrize(("encode", "decode"), [(answer, decode_list), (results, decode_results)])
async def test_any_keys_in_pieces_of_any_size(monkeypatch, size, style, encode, decode):
    """The same entries, in order; a proxy may have written the JSON in another way."""
    monkeypatch.setattr(entry_module, "_PIECE", size)

    @given(entries)
    def check(of: list[Entry]) -> None:
        decoding = decode(encode(of, **style))
        while True:  # it only lets others have a turn
            try:
                decoding.send(None)
            except StopIteration as end:
                assert end.value == of
                return

    check()


@pytest.mark.parametrize(("encode", "decode"), [(answer, decode_list), (results, decode_results)])
async def test_others_get_a_turn_between_pieces(monkeypatch, encode, decode):
    """A large answer must not hold up the event loop."""
    monkeypatch.setattr(entry_module, "_PIECE", 200)
    body = encode([Entry(f"a/{number}", b"1", 7) for number in range(100)], separators=(",", ":"))
    turns = sum(1 for _ in decode(body).__await__())
    assert turns > len(body) / 500


async def test_an_empty_value_is_empty():
    """Consul writes null for it."""
    (found,) = await decode_list(answer([Entry("a", None, 7)]))
    assert found.value == b""


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'["a"]', b'[{"Key": "a", "Value": null}]', b'[{"Key": 1, "ModifyIndex": 1}]', NESTED]
)
async def test_anything_else_is_refused(body):
    """Another service at the address may answer with JSON of its own."""
    with pytest.raises(ValueError, match=r"\S"):
        await decode_list(body)
    with pytest.raises(ValueError, match=r"\S"):
        await decode_results(b'{"Results": ' + body + b"}")
