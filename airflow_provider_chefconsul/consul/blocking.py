"""The terms of Consul's blocking queries. Standard library only."""

from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=55)
"""How long a query may block; an abandoned one occupies the server until its wait ends."""


def next_index(index: int, found: str | int) -> int:
    """The index for the next blocking query: 0, which does not block, when Consul's went back (a restored server)."""
    found = int(found)
    return 0 if found < index else max(found, 1)
