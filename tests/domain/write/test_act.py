"""Planning a write: tables of cases. The properties of any write are in test_act_properties.py."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, StrEnum

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.values import check_values
from airflow_provider_chefconsul.domain.write.act import (
    Act,
    Content,
    choose_act,
    find_content,
    find_overwritten,
    plan_write,
)
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Decision, Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.factory import (
    make_assignment,
    make_basis,
    make_canary,
    make_change,
    make_desired,
    make_members,
    make_writer,
)

AT = "2026-11-22T09:00:00Z"
ONE, TWO, HALF, ALL = (Wave.parse(size) for size in (1, 2, "50%", "100%"))

THEIRS = make_writer(run_id="manual__9")
NEWER = make_assignment(8, values={"release": "2.5.1"})


def plan(current: DesiredState | None, change: Change, **basis: object) -> Decision:
    """Plan a write for the current state."""
    return plan_write(make_basis(current, **basis), change)


def test_first_write_makes_generation_one():
    """A tier without a desired state."""
    decision = plan(None, make_change())
    assert isinstance(decision, Write)
    assert decision.generation == 1
    assert decision.desired.stable.state == "converged"
    assert decision.desired.written_by == make_writer()
    assert decision.desired.written_at == AT


def test_new_content_makes_the_next_generation():
    """For another state or other values."""
    for change in (make_change(state="off"), make_change(values={"release": "2.6.0"}), make_change(values={})):
        decision = plan(make_desired(7), change)
        assert isinstance(decision, Write)
        assert decision.generation == decision.desired.stable.generation == 8


def test_same_content_changes_nothing():
    """Even if another Dag run writes it."""
    change = make_change(writer=make_writer(run_id="manual__2"))
    assert plan(make_desired(7), change) == Unchanged(7)


@pytest.mark.parametrize(("standing", "wanted"), [(1, 1.0), (1, True), (0, False), ("1", 1), (None, "")])
def test_values_of_another_type_differ(standing, wanted):
    """Recipes see types, so a value that merely compares equal in Python is a change."""
    current = make_desired(7, stable=make_assignment(7, values={"x": standing}))
    assert isinstance(plan(current, make_change(values={"x": wanted})), Write)


class Colour(StrEnum):
    """A value that is a string, and more."""

    BLUE = "blue"


@pytest.mark.parametrize("value", [Colour.BLUE, IntEnum("Size", ["SMALL"]).SMALL, type("Ratio", (float,), {})(0.5)])
def test_value_of_a_derived_type_is_the_plain_one(value):
    """It compares equal to the value read back from Consul, so a retry makes no second generation."""
    change = make_change(values=check_values({"x": value}))
    first = plan(None, change)
    assert isinstance(first, Write)
    stored = DesiredState.from_json("key", first.desired.to_json())
    assert plan(stored, change) == Unchanged(1)


def test_deleted_state_continues_above_its_history():
    """A generation number is never reused."""
    decision = plan(None, make_change(), generations=[6, 7])
    assert isinstance(decision, Write)
    assert decision.generation == 8


def test_force_makes_a_generation_once_for_each_task_instance():
    """A forced write happens although nothing differs; its retry changes nothing."""
    change = make_change(force=True, writer=make_writer(run_id="manual__2"))
    first = plan(make_desired(7), change)
    assert isinstance(first, Write)
    assert first.generation == 8
    assert plan(first.desired, change) == Unchanged(8)


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
    """The reason names the tier's state and the allowed ones."""
    decision = plan(current, make_change(state="off", allowed_from=allowed_from))
    assert isinstance(decision, Refused)
    assert reason in decision.reason


def test_legal_origins():
    """A listed state, or None for a tier without one, may be left; unchanged content needs no permission."""
    assert isinstance(plan(make_desired(), make_change(state="off", allowed_from=["converged"])), Write)
    assert isinstance(plan(None, make_change(allowed_from=[None])), Write)
    assert plan(make_desired(7), make_change(allowed_from=["waiting"])) == Unchanged(7)


# Canaries -------------------------------------------------------------------------------------------------------------

N, Y = False, True


@pytest.mark.parametrize(
    ("content", "is_wave", "is_forced", "act"),
    [
        (Content.UNDECLARED, N, N, Act.ASSIGN),
        (Content.UNDECLARED, N, Y, Act.ASSIGN),
        (Content.UNDECLARED, Y, N, Act.REFUSE),
        (Content.UNDECLARED, Y, Y, Act.REFUSE),
        (Content.STABLE, N, N, Act.LEAVE),
        (Content.STABLE, Y, N, Act.LEAVE),
        (Content.STABLE, N, Y, Act.ASSIGN),
        (Content.STABLE, Y, Y, Act.BEGIN_CANARY),
        (Content.CANARY, N, N, Act.PROMOTE),
        (Content.CANARY, N, Y, Act.ASSIGN),
        (Content.CANARY, Y, N, Act.WIDEN),
        (Content.CANARY, Y, Y, Act.WIDEN),
        (Content.BESIDE_CANARY, N, N, Act.ROLL_BACK),
        (Content.BESIDE_CANARY, Y, N, Act.ROLL_BACK),
        (Content.BESIDE_CANARY, N, Y, Act.ASSIGN),
        (Content.BESIDE_CANARY, Y, Y, Act.BEGIN_CANARY),
        (Content.NEW, N, N, Act.ASSIGN),
        (Content.NEW, N, Y, Act.ASSIGN),
        (Content.NEW, Y, N, Act.BEGIN_CANARY),
        (Content.NEW, Y, Y, Act.BEGIN_CANARY),
    ],
)
def test_rules_of_writing(content, is_wave, is_forced, act):
    """Every case."""
    assert choose_act(content, is_wave=is_wave, is_forced=is_forced) is act


WEB = make_members("web-1", "web-2", "web-3", "web-4")
OUT = make_desired(8, stable=make_assignment(7), canary=make_canary(8), previous=6)  # release 2.6.0 on web-1
NEXT = {"release": "2.6.0"}
OTHER = {"release": "2.7.0"}


@pytest.mark.parametrize(
    ("current", "change", "content"),
    [
        (None, {}, Content.UNDECLARED),
        (make_desired(7), {}, Content.STABLE),
        (make_desired(7), {"values": NEXT}, Content.NEW),
        (make_desired(7), {"state": "off"}, Content.NEW),
        (OUT, {"values": NEXT}, Content.CANARY),
        (OUT, {}, Content.BESIDE_CANARY),
        (OUT, {"values": OTHER}, Content.NEW),
        (replace(OUT, stable=OUT.newest), {"values": NEXT}, Content.CANARY),
    ],
)
def test_content_of_a_change(current, change, content):
    """Content is matched by state and values; of two equal assignments, the canary's counts."""
    assert find_content(current, make_change(**change)) is content


@pytest.mark.parametrize(
    ("current", "change", "generation", "stable", "canary", "previous", "is_new"),
    [
        (make_desired(7, previous=6), {"values": NEXT, "canary": ONE}, 8, 7, 8, 6, True),
        (OUT, {"values": NEXT, "canary": TWO}, 8, 7, 8, 6, False),
        (OUT, {"values": NEXT}, 8, 8, None, 7, False),
        (OUT, {}, 7, 7, None, 6, False),
        (OUT, {"canary": ONE}, 7, 7, None, 6, False),
        (OUT, {"values": OTHER, "canary": ONE}, 9, 7, 9, 6, True),
        (OUT, {"values": OTHER}, 9, 9, None, 7, True),
        (OUT, {"values": NEXT, "force": True}, 9, 9, None, 7, True),
        (OUT, {"force": True}, 9, 9, None, 7, True),
        (OUT, {"values": NEXT, "canary": TWO, "force": True}, 8, 7, 8, 6, False),
        (
            make_desired(7),
            {"canary": ONE, "force": True, "writer": make_writer(run_id="2")},
            8,
            7,
            8,
            None,
            True,
        ),
        (make_desired(8, stable=make_assignment(7)), {"values": OTHER}, 9, 9, None, 7, True),
    ],
    ids=[
        "begin",
        "widen",
        "promote",
        "take back",
        "take back, whatever the wave",
        "replace by another canary",
        "replace by something for all",
        "force the canary's on all",
        "force the stable one on all",
        "widen a forced one",
        "force a canary of what stands",
        "after one was taken back",
    ],
)
def test_what_a_write_means_while_a_canary_is_out(current, change, generation, stable, canary, previous, is_new):
    """Its generation, the generations that the tier then has, and the previous one."""
    decision = plan(current, make_change(**change), members=WEB)
    assert isinstance(decision, Write)
    assert (decision.generation, decision.is_new) == (generation, is_new)
    desired = decision.desired
    assert desired.stable.generation == stable
    assert (desired.canary and desired.canary.assignment.generation) == canary
    assert (desired.generation, desired.previous) == (max(current.generation, generation), previous)
    assert (desired.written_by, desired.written_at) == (make_change(**change).writer, AT)


def test_waves_from_the_first_to_all():
    """All tasks of a rollout, then each again: one generation, and the retries change nothing."""
    waves = [make_change(values=NEXT, canary=canary) for canary in (ONE, HALF, ALL, None)]
    current, nodes = make_desired(7), []
    for change in waves:
        decision = plan(current, change, members=WEB)
        assert isinstance(decision, Write)
        assert decision.generation == 8
        current = decision.desired
        nodes.append(sum(current.assignment_for(node).generation == 8 for node in WEB))
    assert nodes == [1, 2, 4, 4]
    assert current == make_desired(8, stable=make_canary(8).assignment, previous=7, written_at=AT)
    for change in waves:
        assert plan(current, change, members=WEB) == Unchanged(8)


@pytest.mark.parametrize(
    ("current", "canary", "members", "reason"),
    [
        (
            None,
            ONE,
            WEB,
            "a canary needs a desired state that the other nodes keep, and the tier has none yet",
        ),
        (make_desired(), ONE, {}, "no member is present"),
        (make_desired(), Wave.parse(("web-9",)), WEB, "canary names nodes that are not members of the tier: web-9"),
        (OUT, Wave.parse(("web-2",)), WEB, "a canary can only widen: also name web-1, which it already covers"),
    ],
)
def test_impossible_canary_is_refused(current, canary, members, reason):
    """Nothing is written, and the reason says why."""
    decision = plan(current, make_change(values=NEXT, canary=canary), members=members)
    assert isinstance(decision, Refused)
    assert reason in decision.reason
    assert not decision.is_stale


def test_origin_while_a_canary_is_out():
    """The stable state counts."""
    current = make_desired(8, stable=make_assignment(7, state="waiting"), canary=make_canary(8))
    change = make_change(values=NEXT, allowed_from=["waiting"])
    assert isinstance(plan(current, change), Write)
    assert isinstance(plan(current, replace(change, allowed_from=["converged"])), Refused)


# Sequences ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "wanted", "written"),
    [(100, 101, 101), (100, 100, 100), (100, None, 100), (None, 5, 5), (None, None, None), (100, 99, "stale")],
)
def test_sequence(standing, wanted, written):
    """Only an older write is stale; a write without a sequence keeps the current one."""
    current = make_desired(sequence=standing)
    decision = plan(current, make_change(state="off", sequence=wanted))
    if written == "stale":
        assert isinstance(decision, Refused)
        assert decision.is_stale
        assert decision.reason == (
            "the write is stale: it belongs to sequence 1970-01-01T00:01:39Z, and generation 7 of sequence "
            "1970-01-01T00:01:40Z was already "
            "written by Dag shop_rollout, run manual__1, task web.set at 2026-11-22T08:00:00Z; "
            "only that sequence or a later one can write here"
        )
    else:
        assert isinstance(decision, Write)
        assert decision.desired.sequence == written


@pytest.mark.parametrize(
    "change",
    [
        {"values": NEXT},
        {},
        {"values": NEXT, "canary": TWO},
        {"values": OTHER},
        {"values": NEXT, "force": True},
    ],
)
def test_stale_write_leaves_a_canary_alone(change):
    """It neither promotes, rolls back, widens nor replaces it."""
    decision = plan(OUT, make_change(**change, sequence=5), members=WEB)
    assert isinstance(decision, Refused)
    assert decision.is_stale


@pytest.mark.parametrize(
    ("current", "change", "generation"),
    [(make_desired(7), {}, 7), (OUT, {"values": NEXT, "canary": ONE}, 8)],
    ids=["all", "canary"],
)
def test_same_content_is_unchanged_even_when_older(current, change, generation):
    """Last month's task that wants the current content succeeds, whatever its allowed_from."""
    change = make_change(**change, sequence=5, allowed_from=["nowhere"])
    assert plan(current, change, members=WEB) == Unchanged(generation)


def test_same_content_takes_the_later_sequence():
    """Else a write from a time in between could undo it; nodes do nothing for this."""
    first = plan(None, make_change(values={"release": "2.4"}, sequence=100)).desired
    again = plan(first, make_change(values={"release": "2.4"}, sequence=300))
    assert again == Write(replace(first, sequence=300), 1, is_new=False, assigns=False)
    between = plan(again.desired, make_change(values={"release": "2.3"}, sequence=200))
    assert isinstance(between, Refused)
    assert between.is_stale
    assert plan(again.desired, make_change(values={"release": "2.4"}, sequence=200)) == Unchanged(1)


def test_an_id_is_made_with_each_generation_and_stays_with_it():
    """Widening, promoting and rolling back keep the ids of the assignments that remain."""
    first = plan(None, make_change(), new_id="a1").desired
    assert first.stable.id == "a1"
    out = plan(first, make_change(values=NEXT, canary=ONE), new_id="b2", members=WEB).desired
    assert (out.stable.id, out.canary.assignment.id) == ("a1", "b2")
    wider = plan(out, make_change(values=NEXT, canary=TWO), new_id="c3", members=WEB).desired
    assert (wider.stable.id, wider.canary.assignment.id) == ("a1", "b2")
    assert plan(wider, make_change(values=NEXT), new_id="c3").desired.stable.id == "b2"
    assert plan(wider, make_change(), new_id="c3").desired.stable.id == "a1"
    forced = make_change(force=True, writer=make_writer(run_id="manual__2"))
    assert plan(first, forced, new_id="c3").desired.stable.id == "c3"


@pytest.mark.parametrize(
    ("current", "history", "is_refused"),
    [
        (None, {}, False),
        (make_desired(8, written_by=THEIRS), {}, False),
        (make_desired(8, written_by=THEIRS, stable=NEWER), {7: make_desired(7)}, True),
        (make_desired(8, written_by=THEIRS), {7: make_desired(7)}, False),
        (make_desired(8, written_by=make_writer(task_id="back"), stable=NEWER), {7: make_desired(7)}, False),
        (make_desired(8, written_by=THEIRS, stable=NEWER), {7: make_desired(7, written_by=THEIRS)}, False),
        (make_desired(6, written_by=THEIRS, stable=make_assignment(6, state="off")), {7: make_desired(7)}, False),
    ],
    ids=[
        "nothing is desired",
        "the first try wrote nothing",
        "another run wrote after it",
        "another run wrote the same",
        "a task of this run wrote after it",
        "another task wrote that generation",
        "the number went back",
    ],
)
def test_later_try_does_not_overwrite_another_run(current, history, is_refused):
    """What came after this task's own write stays; its retry is stale, though its logical time may be the same."""
    found = find_overwritten(current, history, make_change())
    assert (found is not None and found.is_stale) == is_refused
