"""Choosing a canary's next members: properties of any tier whose members come and go between waves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.canary import threshold
from airflow_provider_chefconsul.domain.model.desired import Canary
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.write.wave import NamedNodes, NoWave, Wave, plan_canary
from tests.support.examples import examples
from tests.support.factory import make_assignment, make_members

NODES = [f"web-{number}" for number in range(12)]
zones = st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}, {"zone": "c"}])
drawn = st.builds(Member, st.just(""), st.sampled_from(Presence), meta=zones)
tiers = st.dictionaries(st.sampled_from(NODES), drawn, max_size=12)
tiers = tiers.map(lambda members: {node: Member(node, each.presence, (), each.meta) for node, each in members.items()})
counts = st.integers(1, 14) | st.integers(1, 100).map("{}%".format)
waves = st.builds(Wave.parse, counts, st.none() | st.just("meta:zone")) | st.builds(
    Wave.parse, st.lists(st.sampled_from(NODES), min_size=1, max_size=6, unique=True)
)
thorough = settings(max_examples=examples(3))


def covered(canary: Canary | None, nodes: object = NODES) -> set[str]:
    """The nodes that it covers, as each node computes it."""
    return {node for node in nodes if canary.has_node(node)} if canary else set()


def plan_next(current: Canary | None, wave: Wave, members: dict[str, Member]) -> Canary | NoWave:
    """The next wave of generation 8."""
    return plan_canary(make_assignment(8), current, wave, members)


@thorough
@given(st.lists(st.tuples(tiers, waves), min_size=1, max_size=6))
def test_never_more_nodes_than_the_wave_allows(rollout):
    """Each wave adds only as many present members as it lacks; covered nodes remain covered."""
    current = None
    for members, wave in rollout:
        before, before_of_tier = covered(current), covered(current, members)
        present = {node for node, member in members.items() if member.is_present}
        found = plan_next(current, wave, members)
        if isinstance(found, NoWave):
            assert not present or isinstance(wave.size, NamedNodes)
            continue
        after = covered(found, members)
        new = after - before_of_tier
        assert covered(found) >= before
        if isinstance(wave.size, NamedNodes):
            assert after == before_of_tier.union(wave.size.nodes)
        elif wave.is_all:
            assert after == set(members)
        else:
            lacking = max(0, wave.size.at_least(len(present)) - len(before_of_tier))
            assert len(new) == min(lacking, len(present - before_of_tier))
            assert new <= present
        assert plan_next(found, wave, members) == found
        current = found


@thorough
@given(st.lists(st.tuples(tiers, waves), min_size=1, max_size=6), tiers, st.sampled_from(["100%", 99]))
def test_last_wave_covers_everybody(rollout, members, size):
    """After any waves, all present members have the new assignment; with 100%, also absent and future ones."""
    current = None
    for earlier, wave in rollout:
        found = plan_next(current, wave, earlier)
        current = current if isinstance(found, NoWave) else found
    found = plan_next(current, Wave.parse(size), members)
    if isinstance(found, NoWave):
        assert not any(member.is_present for member in members.values())
    else:
        assert covered(found) >= {node for node, member in members.items() if member.is_present}
        assert size != "100%" or covered(found) == set(NODES)


@given(st.lists(st.sampled_from(NODES), min_size=1, unique=True), st.lists(counts, min_size=1, max_size=5))
def test_stable_members_are_covered_by_a_threshold(nodes, sizes):
    """Without spread or absent nodes, no node is listed, so newcomers fall on the right side."""
    current, most = None, 0
    for size in sizes:
        current = plan_next(current, Wave.parse(size), make_members(*nodes))
        most = max(most, min(Count.parse("size", size).at_least(len(nodes)), len(nodes)))
        assert isinstance(current, Canary)
        assert current.nodes == ()
        assert "100%" in sizes or current.threshold == threshold("8", nodes, most)


@thorough
@given(tiers, st.lists(counts.filter(lambda size: size != "100%"), min_size=1, max_size=4))
def test_spread_is_even(members, sizes):
    """While members stay, no zone is two nodes ahead of another that has present nodes left."""
    current = None
    for size in sizes:
        found = plan_next(current, Wave.parse(size, "meta:zone"), members)
        if isinstance(found, NoWave):
            return
        current = found
        left = {members[node].meta.get("zone") for node in set(members) - covered(found) if members[node].is_present}
        taken = Counter(members[node].meta.get("zone") for node in covered(found, members))
        assert all(taken[zone] + 1 >= max(taken.values()) for zone in left)
