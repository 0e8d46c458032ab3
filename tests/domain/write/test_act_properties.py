"""Planning a write: properties of any write and any series of writes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary, DesiredState
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Decision, Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.wave import NamedNodes, Wave
from tests.support.examples import examples
from tests.support.factory import make_assignment, make_basis, make_change, make_desired, make_members, make_writer

NODES = [f"web-{number}" for number in range(6)]
integers = st.integers(-(2**63), 2**63 - 1)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.sampled_from([{}, {"release": "1"}, {"release": 1}]) | st.dictionaries(
    st.text(min_size=1), scalars, max_size=3
)
waves = st.builds(
    Wave.parse,
    st.integers(1, 7)
    | st.integers(1, 100).map("{}%".format)
    | st.lists(st.sampled_from(NODES), min_size=1, unique=True),
)
changes = st.builds(
    make_change,
    state=st.sampled_from(["off", "converged", "converged"]),
    values=values,
    writer=st.builds(make_writer, run_id=st.sampled_from(["a", "b"])),
    canary=st.none() | waves,
    sequence=st.none() | st.integers(0, 3),
    force=st.sampled_from([False, False, False, True]),
)
canaries = st.none() | st.builds(
    Canary,
    assignment=st.builds(make_assignment, st.just(7), state=st.sampled_from(["off", "converged"]), values=values),
    salt=st.just("7"),
    threshold=st.integers(0, BUCKETS),
    nodes=st.lists(st.sampled_from(NODES), max_size=2, unique=True).map(tuple),
)
currents = st.none() | st.builds(
    lambda state, values, canary, sequence: make_desired(
        7,
        stable=make_assignment(6 if canary else 7, state=state, values=values),
        canary=canary,
        sequence=sequence,
        previous=5,
    ),
    st.sampled_from(["off", "converged"]),
    values,
    canaries,
    st.none() | st.integers(0, 3),
)
tiers = st.dictionaries(st.sampled_from(NODES), st.sampled_from([True, True, True, False]), min_size=1).map(
    lambda places: make_members(
        *[node for node, is_present in places.items() if is_present],
        absent=[node for node, is_present in places.items() if not is_present],
    )
)
thorough = settings(max_examples=examples(3))


def plan(current: DesiredState | None, change: Change, **basis: object) -> Decision:
    """Plan a write for the current state."""
    return plan_write(make_basis(current, **basis), change)


def assignments(desired: DesiredState) -> dict[str, Assignment]:
    """The assignment of each node."""
    return {node: desired.assignment_for(node) for node in NODES}


@thorough
@given(currents, changes, tiers)
def test_retry_never_makes_a_second_generation(current, change, members):
    """Planning the same change on its own result writes nothing, and names its generation."""
    decision = plan(current, change, members=members)
    standing = decision.desired if isinstance(decision, Write) else current
    again = plan(
        standing, replace(change, allowed_from=["nowhere"]), written_at="2026-11-22T10:00:00Z", members=members
    )
    if isinstance(decision, Write | Unchanged):
        assert again == Unchanged(decision.generation)
    else:
        assert plan(current, change, members=members) == decision


@thorough
@given(currents, changes, tiers, st.integers(0, 9))
def test_generations_only_grow(current, change, members, newest_generation):
    """A new generation is one above the last; any other write keeps one that some nodes have."""
    decision = plan(current, change, generations=[newest_generation], members=members)
    if isinstance(decision, Write):
        assert decision.generation in decision.desired.generations
        if decision.is_new:
            assert decision.generation == max(current.generation if current else 0, newest_generation) + 1
            assert decision.desired.generation == decision.generation
        else:
            assert decision.generation in current.generations
            assert decision.desired.generation == current.generation


@thorough
@given(currents, changes, tiers)
def test_stale_write_is_never_made(current, change, members):
    """A write is never older than what it replaces, a refusal as stale is right, and sequences only grow."""
    decision = plan(current, change, members=members)
    is_older = None not in {current and current.sequence, change.sequence} and change.sequence < current.sequence
    assert not (isinstance(decision, Write) and is_older)
    assert not (isinstance(decision, Refused) and decision.is_stale and not is_older)
    if isinstance(decision, Write) and current is not None and current.sequence is not None:
        assert decision.desired.sequence >= current.sequence


@thorough
@given(currents, changes, tiers)
def test_write_that_makes_no_generation_gives_nobody_a_third(current, change, members):
    """Widening, promoting and rolling back move nodes one way between the two assignments.

    Promotion, and a wider canary, leave the covered as they are; taking a canary back leaves the others as they are.
    """
    decision = plan(current, change, members=members)
    if not isinstance(decision, Write) or decision.is_new:
        return
    stable, canary = current.stable, current.canary
    before, after = assignments(current), assignments(decision.desired)
    is_back = decision.desired.canary is None and decision.desired.stable == stable
    kept = stable if is_back else canary.assignment
    assert all(after[node] == kept for node in NODES if before[node] == kept)
    assert all(after[node] in {before[node].generation: before[node], kept.generation: kept}.values() for node in NODES)
    if decision.desired.canary is None:
        assert decision.desired.stable == kept
        assert decision.desired.previous == (current.previous if is_back else stable.generation)


@thorough
@given(currents, changes.filter(lambda change: change.canary is not None), tiers)
def test_canary_moves_no_more_nodes_than_it_says(current, change, members):
    """A wave reassigns no more present members than its size, apart from a rollback."""
    decision = plan(current, change, members=members)
    if not isinstance(decision, Write) or decision.desired.canary is None:
        return
    size = change.canary.size
    present = sum(member.is_present for member in members.values())
    allowed = len(size.nodes) if isinstance(size, NamedNodes) else size.at_least(present)
    before, after = assignments(current), assignments(decision.desired)
    moved = [node for node in members if before[node] != after[node] and after[node].generation == decision.generation]
    assert len(moved) <= (len(members) if change.canary.is_all else allowed)
    assert decision.desired.stable == current.stable


@given(st.lists(st.tuples(changes, tiers), max_size=12))
def test_each_generation_means_one_thing(steps: list[tuple[Change, dict]]):
    """In any series of writes, a generation keeps its content, and generations never shrink."""
    current, meaning = None, {}
    for change, members in steps:
        decision = plan(current, change, members=members)
        if not isinstance(decision, Write):
            continue
        desired = decision.desired
        assert current is None or desired.generation >= current.generation
        for assignment in desired.assignments:
            known = meaning.setdefault(assignment.generation, assignment)
            assert known.has_content(assignment.state, assignment.values)
        assert desired.previous is None or desired.previous in meaning
        current = DesiredState.from_json("key", desired.to_json())
