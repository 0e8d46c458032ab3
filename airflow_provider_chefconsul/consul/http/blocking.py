"""The terms of Consul's blocking queries. Standard library only."""

from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=55)
"""How long a query may block, by default; an abandoned one occupies the server until its wait ends."""

SHORTEST_WAIT = timedelta(seconds=1)
"""How long the first query of a watch blocks. The wait doubles from there: what is soon abandoned is soon over."""

WAITS = (timedelta(seconds=1), timedelta(minutes=10))
"""The bounds of what a connection may be given as its longest wait; Consul's own limit is ten minutes."""


def next_index(index: int, found: str | int) -> int:
    """The index for the next blocking query: 0, which does not block, when Consul's went back (a restored server)."""
    found = int(found)
    return 0 if found < index else max(found, 1)
