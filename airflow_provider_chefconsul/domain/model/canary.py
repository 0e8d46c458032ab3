"""Which nodes a canary covers: a stable bucket for each node, and a threshold over today's members."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from airflow_provider_chefconsul.exceptions import InvalidInput

BUCKETS = 2**32


def bucket(salt: str, node: str) -> int:
    """A node's bucket under a salt, from 0 to 2^32 - 1; the same as in the cookbook's Ruby."""
    return int(sha256(f"{salt}:{node}".encode()).hexdigest()[:8], 16)


def rank(salt: str, nodes: Iterable[str]) -> list[str]:
    """Nodes in the order in which a widening canary covers them; ties are broken by name."""
    return sorted(set(nodes), key=lambda node: (bucket(salt, node), node))


def threshold(salt: str, nodes: Iterable[str], count: int) -> int:
    """The threshold that covers the first ``count`` nodes of the ranking: just above the last one's bucket.

    It covers more only if two buckets are equal, which is as unlikely as a collision of 32-bit hashes.

    :raises InvalidInput: ``count`` is not between 1 and the number of nodes.
    """
    ranked = rank(salt, nodes)
    if not 1 <= count <= len(ranked):
        raise InvalidInput(f"a canary of {count} nodes does not fit a tier of {len(ranked)}")
    return bucket(salt, ranked[count - 1]) + 1
