"""What a document is: nesting and numbers that both languages read alike, in linear time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.document import DEEPEST, read_document
from airflow_provider_chefconsul.exceptions import MalformedDocument

KEY = "chefconsul/demo/web/desired"


def nested(levels: int, innermost: object = None) -> object:
    """A value inside alternating lists and objects."""
    for level in range(levels):
        innermost = [innermost] if level % 2 else {"a": innermost}
    return innermost


@given(st.integers(DEEPEST - 4, DEEPEST + 4), st.text(alphabet='[]{}"\\a', max_size=100))
def test_depth(levels, text):
    """The document's own level counts; brackets in strings do not."""
    fields = {"schema": 1, text: [text], "deep": nested(levels - 1, text)}
    document = json.dumps(fields)
    if levels <= DEEPEST:
        assert read_document(KEY, document).fields == fields
    else:
        with pytest.raises(MalformedDocument, match="not JSON .nesting of 65 is too deep"):
            read_document(KEY, document)


@given(st.integers(-(2**65), 2**65))
def test_integers(number):
    """Signed 64-bit integers, anywhere in the document."""
    document = json.dumps({"schema": 1, "later": [{"n": number}], "text": "9" * 30, "real": 1e300})
    if -(2**63) <= number < 2**63:
        assert read_document(KEY, document).fields["later"] == [{"n": number}]
    else:
        with pytest.raises(MalformedDocument, match="not JSON .an integer of more than 64 bits"):
            read_document(KEY, document)


@pytest.mark.parametrize(
    "text",
    ["[" * 70 + '"' + '\\"' * 250_000, "[" * 500_000, '{"a":' * 100_000, "[" * 70 + '"' * 499_999, "9" * 500_000],
    ids=["escapes", "lists", "objects", "quotes", "digits"],
)
def test_spoilt_document_as_long_as_a_value_may_be(text):
    """Half a megabyte is refused at once; no check takes more than linear time."""
    with pytest.raises(MalformedDocument, match="not JSON"):
        read_document(KEY, text)
