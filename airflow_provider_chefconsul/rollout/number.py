"""Whole numbers that come as text: from a command line, or from a template that is not rendered natively."""

from __future__ import annotations

_MOST_DIGITS = 18  # beyond what anything is counted in here; Python refuses to convert some thousands


def read_number(text: object) -> int | None:
    """The number that a text of digits says; None when it is anything else."""
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number and isinstance(text, str) else None
