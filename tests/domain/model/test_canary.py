"""Canary buckets: exact for today's members, only ever wider, and fair to nodes that join later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.canary import BUCKETS, bucket, rank, threshold
from airflow_provider_chefconsul.domain.model.desired import Canary
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_assignment

salts = st.integers(1, 10**6).map(str)
tiers = st.lists(st.integers(1, 10**6).map("web-{}".format), min_size=1, max_size=30, unique=True)


def covered(salt: str, nodes: list[str], limit: int) -> set[str]:
    """The nodes that a canary with this threshold covers, as each node computes it."""
    canary = Canary(make_assignment(8), salt=salt, threshold=limit)
    return {node for node in nodes if canary.has_node(node)}


@given(salts, tiers, st.data())
def test_threshold_is_exact(salt, nodes, data):
    """A canary of k covers exactly k of today's members: the first k by rank."""
    count = data.draw(st.integers(1, len(nodes)))
    limit = threshold(salt, nodes, count)
    assert 0 < limit <= BUCKETS
    assert covered(salt, nodes, limit) == set(rank(salt, nodes)[:count])


@given(salts, tiers, st.data())
def test_widening_only_adds(salt, nodes, data):
    """A wider canary covers all nodes that a narrower one does, including those that join later."""
    narrow, wide = sorted(data.draw(st.tuples(st.integers(1, len(nodes)), st.integers(1, len(nodes)))))
    everyone = [*nodes, *data.draw(tiers)]
    smaller = covered(salt, everyone, threshold(salt, nodes, narrow))
    assert smaller <= covered(salt, everyone, threshold(salt, nodes, wide))


@given(salts, tiers, st.randoms())
def test_rank_does_not_depend_on_order_or_doubles(salt, nodes, random):
    """The ranking is the same for any order of the names."""
    shuffled = [*nodes, *nodes]
    random.shuffle(shuffled)
    assert rank(salt, shuffled) == rank(salt, nodes)
    assert threshold(salt, shuffled, len(nodes)) == threshold(salt, nodes, len(nodes))


@given(st.text(), st.text())
def test_buckets_are_bounded(salt, node):
    """Any salt and name have a bucket, always the same."""
    assert 0 <= bucket(salt, node) < BUCKETS
    assert bucket(salt, node) == bucket(salt, node)


def test_salt_changes_the_order():
    """Another rollout begins with other nodes."""
    nodes = [f"web-{number}" for number in range(100)]
    assert len({rank(str(salt), nodes)[0] for salt in range(20)}) > 10


@pytest.mark.parametrize("count", [0, -1, 3])
def test_canary_that_does_not_fit_is_refused(count):
    """A canary of no nodes, or of more than there are, is never intended."""
    with pytest.raises(InvalidInput, match=f"a canary of {count} nodes does not fit a tier of 2"):
        threshold("8", ["web-1", "web-2", "web-1"], count)


def test_empty_tier_has_no_canary():
    """It has no node to begin with."""
    with pytest.raises(InvalidInput, match="a canary of 1 nodes does not fit a tier of 0"):
        threshold("8", [], 1)
