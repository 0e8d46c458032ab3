"""Text that nodes wrote, made safe for a log, a terminal and a page."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text on one line, with its control characters, bidirectional marks and the like written as escapes."""
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in joined)
