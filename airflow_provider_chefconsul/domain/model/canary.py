"""Which nodes a canary covers: a stable bucket for each node, and a threshold over today's members."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from airflow_provider_chefconsul.exceptions import InvalidInput

BUCKETS = 2**32


def bucket(salt: str, node: str) -> int:
    """The node's place under a salt, 0 to 2^32 - 1; the same number in the cookbook's Ruby."""
    return int(sha256(f"{salt}:{node}".encode()).hexdigest()[:8], 16)


def rank(salt: str, nodes: Iterable[str]) -> list[str]:
    """Nodes in the order in which a widening canary takes them; a tie is broken by name."""
    return sorted(set(nodes), key=lambda node: (bucket(salt, node), node))


def threshold(salt: str, nodes: Iterable[str], count: int) -> int:
    """The threshold that covers the first ``count`` of today's nodes: just above the bucket of the last of them.

    Buckets lie in 0 to 2^32, so a tie that would cover more than ``count`` nodes is as likely as a hash collision.

    :raises InvalidInput: ``count`` is not between 1 and the number of nodes.
    """
    ranked = rank(salt, nodes)
    if not 1 <= count <= len(ranked):
        raise InvalidInput(f"a canary of {count} nodes does not fit a tier of {len(ranked)}")
    return bucket(salt, ranked[count - 1]) + 1
