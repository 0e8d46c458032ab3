"""Choosing a canary's next members: tables of cases. The properties of any tier are in test_wave_properties.py."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.canary import BUCKETS, rank, threshold
from airflow_provider_chefconsul.domain.model.desired import Canary
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.write.wave import NamedNodes, NoWave, Wave, plan_canary
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_assignment, make_canary, make_members

NODES = [f"web-{number}" for number in range(1, 11)]
RANKED = rank("8", NODES)  # in the order in which the canary of generation 8 takes them
TEN = make_members(*NODES)


def plan(canary: object, members: Members = TEN, standing: Canary | None = None, spread: str | None = None) -> Canary:
    """The canary of generation 8 that this wave leads to."""
    found = plan_canary(make_assignment(8), standing, Wave.parse(canary, spread), members)
    assert isinstance(found, Canary)
    return found


def refuse(canary: object, members: Members = TEN, standing: Canary | None = None) -> str:
    """Why there is none."""
    found = plan_canary(make_assignment(8), standing, Wave.parse(canary), members)
    assert isinstance(found, NoWave)
    return found.reason


def covered(canary: Canary, nodes: list[str] = NODES) -> set[str]:
    """The nodes that it covers, as each node computes it."""
    return {node for node in nodes if canary.has_node(node)}


@pytest.mark.parametrize(
    ("canary", "spread", "wave", "words"),
    [
        (1, None, Wave(Count(1)), "1"),
        ("3", None, Wave(Count(3)), "3"),
        ("1%", None, Wave(Count(1, is_percentage=True)), "1%"),
        ("100%", "meta:zone", Wave(Count(100, is_percentage=True), "zone"), "100%"),
        (5, "meta:a:b", Wave(Count(5), "a:b"), "5"),
        (["web-2", "web-1", "web-2"], None, Wave(NamedNodes(("web-2", "web-1"))), "web-2, web-1"),
        (("web-1",), None, Wave(NamedNodes(("web-1",))), "web-1"),
    ],
)
def test_waves_as_authors_write_them(canary, spread, wave, words):
    """A number, a percentage, or nodes without duplicates; a templated number is text."""
    assert Wave.parse(canary, spread) == wave
    assert str(wave) == words
    assert Wave.parse(wave.written, spread) == wave


@pytest.mark.parametrize(
    "canary", [0, -1, True, 1.5, None, "", "0", "-1", "0%", "101%", "1.5%", "%", "all", "10 %", {"web-1"}, b"1"]
)
def test_anything_else_is_no_wave(canary):
    """The error shows the value and the expected form."""
    with pytest.raises(InvalidInput) as caught:
        Wave.parse(canary)
    words = 'canary must be a number of nodes from 1, "1%" to "100%", or a list of nodes'
    assert str(caught.value) == f"{words}, not {canary!r}"


@pytest.mark.parametrize(
    ("canary", "spread", "words"),
    [
        ([], None, "canary is an empty list; name at least one node"),
        (["web/1"], None, "node 'web/1' is not a name"),
        ([1], None, "node 1 is not a name"),
        (["web-1"], "meta:zone", "spread cannot be combined with a canary of named nodes"),
        (1, "zone", "spread must be \"meta:KEY\", not 'zone'"),
        (1, "meta:", "spread must be \"meta:KEY\", not 'meta:'"),
        (1, "tag:zone", 'spread must be "meta:KEY"'),
        (1, "", "spread must be \"meta:KEY\", not ''"),
        (1, 5, 'spread must be "meta:KEY", not 5'),
    ],
)
def test_list_with_spread_is_refused(canary, spread, words):
    """The error names the parameter."""
    with pytest.raises(InvalidInput) as caught:
        Wave.parse(canary, spread)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "waves",
    [[1], [1, "10%", "100%"], ["10%", 2, "50%", 7], [["web-1"], ["web-1", "web-2"], "100%"], (1, 2, 3), [5, ["web-1"]]],
)
def test_waves_that_may_widen(waves):
    """Waves of one kind must grow; a number and a percentage are compared once the members are known."""
    assert Wave.parse_all(waves) == [Wave.parse(wave) for wave in waves]


@pytest.mark.parametrize(
    ("waves", "words"),
    [
        ([2, 1], "waves only widen: 1 comes after 2 in [2, 1]"),
        ([1, 1], "waves only widen: 1 comes after 1 in [1, 1]"),
        (["50%", "10%"], "waves only widen: 10% comes after 50%"),
        ([5, "10%", 3], "waves only widen: 3 comes after 5"),
        (["100%", 5], "waves only widen: 5 comes after 100%"),
        (["100%", ["web-1"]], "waves only widen: web-1 comes after 100%"),
        ([["web-1"], ["web-2"]], "waves only widen: web-2 comes after web-1"),
        ([["web-1", "web-2"], ["web-2", "web-1"]], "waves only widen: web-2, web-1 comes after web-1, web-2"),
        ([], 'waves must be a list such as [1, "10%", "100%"], not []'),
        ("100%", "waves must be a list"),
        (5, "waves must be a list"),
        ([1, None], "canary must be a number of nodes"),
        ([1, "0%"], "canary must be a number of nodes"),
    ],
)
def test_waves_that_do_not_widen_are_refused(waves, words):
    """The error names the pair."""
    with pytest.raises(InvalidInput) as caught:
        Wave.parse_all(waves)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("canary", "count"), [(1, 1), (3, 3), (10, 10), (99, 10), ("1%", 1), ("10%", 1), ("11%", 2), ("99%", 10)]
)
def test_first_wave_is_exact(canary, count):
    """The first nodes by rank, as a threshold; a percentage is rounded up, and too many means all."""
    found = plan(canary)
    assert found == Canary(make_assignment(8), "8", threshold("8", NODES, count))
    assert covered(found) == set(RANKED[:count])


def test_wave_of_all_covers_who_joins_later():
    """All includes absent and future members."""
    found = plan("100%", make_members("web-1", absent=["web-2"]))
    assert (found.threshold, found.nodes) == (BUCKETS, ())
    assert covered(found, [*NODES, "web-99"]) == {*NODES, "web-99"}


def test_widening_adds_to_what_is_covered():
    """It adds the next nodes by rank, and keeps the covered ones and the salt."""
    found = plan(3, standing=plan(1))
    assert found == plan(3)
    assert covered(found) == set(RANKED[:3])


@pytest.mark.parametrize("canary", [1, 3, "1%", "30%", RANKED[:1], RANKED[:3]])
def test_wave_that_is_out_already_changes_nothing(canary):
    """A retry of this wave, or of an earlier one, is already covered."""
    assert plan(canary, standing=plan(3)) == plan(3)


def test_absent_member_is_not_taken_but_counts_once_covered():
    """A wave chooses present members; one that dies under the canary still counts."""
    first, second = RANKED[:2]
    found = plan(1, make_members(*(set(NODES) - {first}), absent=[first]))
    assert covered(found) == {second}
    assert (found.threshold, found.nodes) == (0, (second,))  # a threshold would cover the first when it comes back
    found = plan(2, make_members(*(set(NODES) - {first}), absent=[first]), standing=plan(1))
    assert covered(found) == {first, second}


def test_percentage_is_of_the_members_present():
    """Ten members, five of them absent: a fifth is one."""
    found = plan("20%", make_members(*RANKED[:5], absent=RANKED[5:]))
    assert covered(found) == {RANKED[0]}


def test_member_that_joins_under_the_threshold_counts():
    """It has the new assignment, so the next wave takes one node less."""
    members = make_members(*RANKED[1:])
    standing = plan(1, members)
    assert covered(standing) == set(RANKED[:2])  # the newcomer's bucket is below
    assert plan(2, standing=standing) == standing
    assert covered(plan(3, standing=standing)) == set(RANKED[:3])


ZONES = {"web-1": "a", "web-2": "a", "web-3": "a", "web-4": "a", "web-5": "b", "web-6": "b", "web-7": "c"}
ZONED = {node: make_members(node, meta={"zone": zone})[node] for node, zone in ZONES.items()}


@pytest.mark.parametrize(("size", "of_each"), [(1, [0, 0, 1]), (3, [1, 1, 1]), (5, [1, 2, 2]), (6, [1, 2, 3])])
def test_spread_takes_zones_by_turns(size, of_each):
    """No zone gets a second node before each has had its first, if it has any; one zone is fine, too."""
    found = covered(plan(size, ZONED, spread="meta:zone"))
    assert sorted(sum(ZONES[node] == zone for node in found) for zone in "abc") == of_each
    assert plan(size, TEN, spread="meta:zone") == plan(size, TEN)


def test_spread_goes_on_from_what_is_covered():
    """The second wave takes the zones that the first left out."""
    first = plan(1, ZONED, spread="meta:zone")
    second = covered(plan(3, ZONED, standing=first, spread="meta:zone"))
    assert {ZONES[node] for node in second} == {"a", "b", "c"}
    assert second > covered(first)


def test_named_nodes():
    """Exactly those; more names widen the canary, and must include the nodes that a threshold covers."""
    first = plan(["web-3", "web-1"])
    assert (first.threshold, first.nodes) == (0, ("web-3", "web-1"))
    assert plan(["web-1", "web-2", "web-3"], standing=first).nodes == ("web-3", "web-1", "web-2")
    counted = plan([*RANKED[:1], *RANKED[5:6]], standing=plan(1))
    assert covered(counted) == {RANKED[0], RANKED[5]}
    assert covered(plan(4, standing=first)) > {"web-1", "web-3"}
    assert len(covered(plan(4, standing=first))) == 4


@pytest.mark.parametrize(
    ("canary", "members", "standing", "words"),
    [
        (
            ["web-1", "web-99", "web-50"],
            TEN,
            None,
            "canary names nodes that are not members of the tier: web-50, web-9",
        ),
        (
            ["web-2"],
            TEN,
            make_canary(nodes=("web-1",)),
            "a canary can only widen: also name web-1, which it already covers",
        ),
        (1, {}, None, "no member is present, so a canary would prove nothing"),
        ("100%", make_members(absent=["web-1"]), None, "no member is present"),
        (["web-1"], make_members(absent=["web-1"]), None, "no member is present"),
    ],
)
def test_impossible_wave(canary, members, standing, words):
    """The reason names the nodes."""
    assert words in refuse(canary, members, standing)
