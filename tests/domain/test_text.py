"""Text written by nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.text import list_some, many_lines, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  No space\n\tleft on\r\ndevice ", "No space left on device"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("Gerät läuft: “ok” ✓", "Gerät läuft: “ok” ✓"),
        ("<img src=x onerror=alert(1)> [bold]", "<img src=x onerror=alert(1)> [bold]"),
    ],
)
def test_text_becomes_one_safe_line(text, shown):
    """Control characters are escaped; escaping markup is left to whoever displays it."""
    assert one_line(text) == shown


@given(st.text())
def test_line_is_always_printable(text):
    """Whatever a node writes."""
    assert one_line(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("first\n  second\n", "first\n  second\n"),
        ("\tindented", "    indented"),
        ("first\r\nse\x1bcond\u202e", "first\\r\nse\\x1bcond\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_lines_may_stay_lines(text, shown):
    """If there is room for them; other control characters are escaped."""
    assert many_lines(text) == shown


@given(st.text())
def test_each_of_many_lines_is_printable(text):
    """Whatever a node writes."""
    assert all(line.isprintable() for line in many_lines(text).split("\n"))


@pytest.mark.parametrize(
    ("count", "words"), [(0, ""), (1, "a"), (3, "a, b, c"), (4, "a, b, c, … and 1 more"), (6, "a, b, c, … and 3 more")]
)
def test_long_lists_are_cut(count, words):
    """To a maximum number of names, plus the number of those left out."""
    assert list_some(iter("abcdef"[:count]), 3) == words
