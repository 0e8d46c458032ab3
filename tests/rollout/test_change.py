"""Deciding a write."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.rollout.canary import BUCKETS
from airflow_provider_chefconsul.rollout.change import Refused, Unchanged, Write, plan_write
from airflow_provider_chefconsul.rollout.desired import Canary, DesiredState, check_values
from tests.factory import make_assignment, make_change, make_desired, make_writer

AT = "2026-11-22T09:00:00Z"


def test_first_write_makes_generation_one():
    """A tier without a desired state gets its first generation."""
    decision = plan_write(None, make_change(), written_at=AT)
    assert isinstance(decision, Write)
    assert decision.generation == 1
    assert decision.desired.stable.state == "converged"
    assert decision.desired.written_by == make_writer()
    assert decision.desired.written_at == AT


def test_new_content_makes_the_next_generation():
    """Another state, or other values, is one generation further."""
    for change in (make_change(state="off"), make_change(values={"release": "2.6.0"}), make_change(values={})):
        decision = plan_write(make_desired(7), change, written_at=AT)
        assert isinstance(decision, Write)
        assert decision.generation == decision.desired.stable.generation == 8


def test_what_stands_is_left_alone():
    """The same content by another run is no new generation."""
    change = make_change(writer=make_writer(run_id="manual__2"))
    assert plan_write(make_desired(7), change, written_at=AT) == Unchanged(7)


@pytest.mark.parametrize(("standing", "wanted"), [(1, 1.0), (1, True), (0, False), ("1", 1), (None, "")])
def test_values_of_another_type_differ(standing, wanted):
    """Recipes see types, so a value that only compares equal in Python is a change."""
    current = make_desired(7, stable=make_assignment(7, values={"x": standing}))
    assert isinstance(plan_write(current, make_change(values={"x": wanted}), written_at=AT), Write)


class Colour(StrEnum):
    """A value that is a string, and more."""

    BLUE = "blue"


@pytest.mark.parametrize("value", [Colour.BLUE, IntEnum("Size", ["SMALL"]).SMALL, type("Ratio", (float,), {})(0.5)])
def test_value_of_a_derived_type_is_the_plain_one(value):
    """What Consul gives back compares equal, so that a retry makes no second generation."""
    change = make_change(values=check_values({"x": value}))
    first = plan_write(None, change, written_at=AT)
    assert isinstance(first, Write)
    stored = DesiredState.from_json("key", first.desired.to_json())
    assert plan_write(stored, change, written_at=AT) == Unchanged(1)


def test_deleted_state_goes_on_above_its_history():
    """A generation is never given twice."""
    decision = plan_write(None, make_change(), written_at=AT, newest_generation=7)
    assert isinstance(decision, Write)
    assert decision.generation == 8


def test_force_makes_a_generation_once_for_each_task_instance():
    """A forced write happens although nothing differs; its own retry changes nothing."""
    change = make_change(force=True, writer=make_writer(run_id="manual__2"))
    first = plan_write(make_desired(7), change, written_at=AT)
    assert isinstance(first, Write)
    assert first.generation == 8
    assert plan_write(first.desired, change, written_at=AT) == Unchanged(8)


@pytest.mark.parametrize(
    ("current", "allowed_from", "reason"),
    [
        (make_desired(), ["waiting"], "allowed from waiting, but the tier is in state converged"),
        (make_desired(), [], "allowed from nowhere"),
        (None, ["off", "waiting"], "allowed from off, waiting, but the tier has no desired state yet"),
        (make_desired(), [None], "allowed from no desired state yet, but the tier is in state converged"),
    ],
)
def test_illegal_origin_is_refused(current, allowed_from, reason):
    """The reason names where the tier is and from where the state is allowed."""
    decision = plan_write(current, make_change(state="off", allowed_from=allowed_from), written_at=AT)
    assert isinstance(decision, Refused)
    assert reason in decision.reason


def test_legal_origins():
    """A listed state, or None for a tier without one, may be left; what stands already needs no permission."""
    assert isinstance(
        plan_write(make_desired(), make_change(state="off", allowed_from=["converged"]), written_at=AT), Write
    )
    assert isinstance(plan_write(None, make_change(allowed_from=[None]), written_at=AT), Write)
    assert plan_write(make_desired(7), make_change(allowed_from=["waiting"]), written_at=AT) == Unchanged(7)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
changes = st.builds(
    make_change,
    state=st.sampled_from(["off", "waiting", "converged"]),
    values=st.dictionaries(st.text(min_size=1), scalars, max_size=3),
    writer=st.builds(make_writer, run_id=st.sampled_from(["a", "b"])),
    force=st.booleans(),
)
canaries = st.none() | st.builds(
    Canary, assignment=st.just(make_assignment(7)), salt=st.just("7"), threshold=st.integers(0, BUCKETS)
)
currents = st.none() | st.builds(
    lambda state, values, canary: make_desired(
        7, stable=make_assignment(6 if canary else 7, state=state, values=values), canary=canary
    ),
    st.sampled_from(["off", "waiting", "converged"]),
    st.dictionaries(st.text(min_size=1), scalars, max_size=3),
    canaries,
)


@given(currents, changes)
def test_retry_never_makes_a_second_generation(current, change):
    """Planning the same change again on its own result writes nothing, and names the generation it made."""
    decision = plan_write(current, change, written_at=AT)
    standing = decision.desired if isinstance(decision, Write) else current
    again = plan_write(standing, replace(change, allowed_from=["nowhere"]), written_at="2026-11-22T10:00:00Z")
    if isinstance(decision, Write | Unchanged):
        assert again == Unchanged(decision.generation)


@given(currents, changes)
def test_generations_only_grow(current, change):
    """A write is one generation above whatever stood."""
    decision = plan_write(current, change, written_at=AT)
    if isinstance(decision, Write):
        assert decision.generation == (current.generation if current else 0) + 1
