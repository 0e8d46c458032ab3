"""Text made safe for a log, a terminal and a page; and lists cut to length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def one_line(text: str) -> str:
    """The text on one line, with control characters, bidirectional marks and the like escaped."""
    return _escape(" ".join(text.split()))


def many_lines(text: str) -> str:
    """The text with its line breaks, and everything else escaped as by :func:`one_line`."""
    return "\n".join(_escape(line.replace("\t", "    ")) for line in text.split("\n"))


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def cut_lines(lines: Sequence[str], limit: int, what: str = "nodes") -> list[str]:
    """The first lines, and when there are others one that says how many: "… and 3 more nodes"."""
    more = [f"… and {len(lines) - limit} more {what}"] if len(lines) > limit else []
    return [*lines[:limit], *more]


def list_some(names: Iterable[str], limit: int) -> str:
    """The first names of a list: "a, b, … and 3 more"; empty when there are none."""
    listed = list(names)
    more = [f"… and {len(listed) - limit} more"] if len(listed) > limit else []
    return ", ".join([*listed[:limit], *more])
