"""Entries, decoded from answers as Consul writes them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.http import entry as entry_module
from airflow_provider_chefconsul.consul.http.entry import Entry, decode_list

CUT = '},{"LockIndex"'
keys = st.text() | st.sampled_from([CUT, f"a{CUT}:0", "},{", "\\"])
entries = st.lists(st.builds(Entry, keys, st.none() | st.binary(min_size=1), st.integers(1, 2**63)))


def answer(of: list[Entry], **style: object) -> bytes:
    """The body, with the fields in Consul's order."""
    return json.dumps(
        [
            {
                "LockIndex": 0,
                "Key": each.key,
                "Flags": 0,
                "Value": each.raw and base64.b64encode(each.raw).decode(),
                "CreateIndex": 1,
                "ModifyIndex": each.modify_index,
            }
            for each in of
        ],
        **style,
    ).encode()


@pytest.mark.parametrize("size", [0, 1, 50, 1 << 19])
@pytest.mark.parametrize("style", [{"separators": (",", ":")}, {}, {"indent": 2}], ids=["consul", "spaces", "lines"])
async def test_lists_of_any_keys_in_pieces_of_any_size(monkeypatch, size, style):
    """The same entries, in order; a proxy may have written the JSON in another way."""
    monkeypatch.setattr(entry_module, "_PIECE", size)

    @given(entries)
    def check(of: list[Entry]) -> None:
        decoding = decode_list(answer(of, **style))
        while True:  # it only lets others have a turn
            try:
                decoding.send(None)
            except StopIteration as end:
                assert end.value == of
                return

    check()


async def test_an_empty_value_is_empty():
    """Consul writes null for it."""
    (found,) = await decode_list(answer([Entry("a", None, 7)]))
    assert found.value == b""


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'["a"]', b'[{"Key": "a", "Value": null}]', b'[{"Key": 1, "ModifyIndex": 1}]']
)
async def test_anything_else_is_refused(body):
    """Another service at the address may answer with JSON of its own."""
    with pytest.raises(ValueError, match=r"\S"):
        await decode_list(body)
