"""How long Consul's blocking queries wait, and from which index. Standard library only."""

from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=55)
"""How long a query may block by default; the server keeps an abandoned one until its wait ends."""

SHORTEST_WAIT = timedelta(seconds=1)
"""How long the first query of a watch blocks. The wait then doubles, so that abandoned queries end soon."""

WAITS = (timedelta(seconds=1), timedelta(minutes=10))
"""The bounds of a connection's longest wait; Consul's own limit is ten minutes."""


def next_index(index: int, found: str | int) -> int:
    """The index for the next blocking query; 0, which does not block, when Consul's went back (after a restore)."""
    found = int(found)
    return 0 if found < index else max(found, 1)
