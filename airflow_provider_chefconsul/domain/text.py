"""Text that nodes wrote, made safe for a log, a terminal and a page."""

from __future__ import annotations

from collections.abc import Sequence


def one_line(text: str) -> str:
    """The text on one line, with its control characters, bidirectional marks and the like written as escapes."""
    return _escape(" ".join(text.split()))


def many_lines(text: str) -> str:
    """The text with its lines as they are, and all else as :func:`one_line` writes it."""
    return "\n".join(_escape(line.replace("\t", "    ")) for line in text.split("\n"))


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def list_some(names: Sequence[str], limit: int) -> str:
    """The first names of a list, and how many more there are: "web-1, web-2, … and 3 more"."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f", … and {rest} more" if rest > 0 else "")
