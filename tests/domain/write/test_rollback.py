"""Planning a rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.decision import Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.examples import examples
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
BACK = make_writer(task_id="web.roll_back")
WEB = make_members("web-1", "web-2", "web-3")


def stood(generation: int, release: str, previous: int | None, **overrides: object) -> DesiredState:
    """A desired state with this release."""
    stable = make_assignment(generation, values={"release": release})
    return make_desired(generation, **{"stable": stable, "previous": previous} | overrides)


HISTORY = {
    5: stood(5, "2.3.0", None),
    6: stood(6, "2.4.0", 5),
    7: stood(7, "2.5.0", 6),
    # As the canary's first wave was written: what was stable then stands beside it.
    8: replace(stood(7, "2.5.0", 6), generation=8, canary=make_canary(8)),
    9: stood(9, "2.6.0", 8),  # forced
}
CURRENT = HISTORY[7]
PROMOTED = stood(8, "2.6.0", 7)


def back(current: DesiredState | None, to: object = "previous", **overrides: object) -> object:
    """Plan a rollback by another task of the same Dag run."""
    options = {"writer": BACK, "to": to} | overrides
    history = {key: entry for key, entry in HISTORY.items() if current is None or key <= current.generation}
    return plan_rollback(make_basis(current, history=history), RollBack(**options))


OWN = make_desired(7, stable=make_assignment(6), written_by=BACK)
THEIRS = make_writer(run_id="manual__2")


@pytest.mark.parametrize(
    ("current", "overrides", "outcome"),
    [
        (None, {}, "refused"),
        (OWN, {}, "unchanged 6"),
        (OWN, {"sequence": 5}, "unchanged 6"),
        (CURRENT, {"sequence": 5}, "stale"),
        (CURRENT, {"only_own": True, "writer": THEIRS}, "stale"),
        (CURRENT, {"only_own": True}, "write 8"),
        (CURRENT, {"tasks": frozenset({"web.set"})}, "write 8"),
        (CURRENT, {"tasks": frozenset({"web.wave_1"})}, "stale"),
        (CURRENT, {"tasks": frozenset({"web.set"}), "writer": THEIRS}, "stale"),
        (CURRENT, {"tasks": frozenset({"web.set"}), "writer": make_writer(task_id="back", map_index=2)}, "stale"),
        (CURRENT, {"generation": 6}, "stale"),
        (CURRENT, {"generation": 7}, "write 8"),
        (HISTORY[8], {"generation": 7}, "stale"),
        (HISTORY[8], {"generation": 8}, "write 7"),
        (HISTORY[8], {}, "write 7"),
        (HISTORY[8], {"to": 7}, "write 7"),
        (HISTORY[8], {"to": 6}, "write 9"),
        (CURRENT, {"to": 7}, "unchanged 7"),
        (HISTORY[5], {}, "refused"),
        (CURRENT, {"to": 4}, "refused"),
        (stood(10, "2.4.0", 7), {"to": 6}, "unchanged 10"),
        (CURRENT, {"to": 6}, "write 8"),
        (CURRENT, {}, "write 8"),
    ],
    ids=[
        "nothing to roll back",
        "a retry",
        "a retry, even when stale",
        "of an earlier time",
        "another run's",
        "its own",
        "of a task that is named",
        "of a task that is not named",
        "of a task of that name in another run",
        "of a task with another map index",
        "another generation",
        "the generation",
        "another generation than the canary's",
        "the canary's generation",
        "a canary",
        "a canary, by the stable generation",
        "past a canary",
        "where it stands",
        "nothing earlier",
        "not in the history",
        "to what it has already",
        "to a generation",
        "to what was before",
    ],
)
def test_rules_of_rolling_back(current, overrides, outcome):
    """Every case in order of precedence, with the generation that nodes have afterwards."""
    match back(current, **overrides):
        case Refused(is_stale=is_stale):
            assert outcome == ("stale" if is_stale else "refused")
        case Unchanged(generation):
            assert outcome == f"unchanged {generation}"
        case Write(generation=generation):
            assert outcome == f"write {generation}"


@pytest.mark.parametrize(
    ("current", "to", "release", "generation", "previous"),
    [
        (CURRENT, "previous", "2.4.0", 8, 5),
        (CURRENT, 5, "2.3.0", 8, None),
        (PROMOTED, "previous", "2.5.0", 9, 6),
        (PROMOTED, 6, "2.4.0", 9, 5),
        (HISTORY[9], "previous", "2.5.0", 10, 6),
        (stood(10, "2.7.0", 9), "previous", "2.6.0", 11, 8),
        (stood(10, "2.7.0", 9), 8, "2.6.0", 11, 7),
        (HISTORY[8], 6, "2.4.0", 9, 5),
        (make_desired(8, stable=make_assignment(7), previous=6), "previous", "2.4.0", 9, 5),
    ],
    ids=[
        "one back",
        "to a generation",
        "after a promotion",
        "beyond a promotion",
        "over the same content",
        "to the forced one",
        "to a canary that was promoted",
        "past a canary that is out",
        "after a canary was taken back",
    ],
)
def test_old_content_becomes_a_new_generation(current, to, release, generation, previous):
    """The content is old, the generation is new, and the next rollback continues from there."""
    decision = back(current, to)
    assert isinstance(decision, Write)
    assert decision == Write(decision.desired, generation, act=JournalAct.ROLLED_BACK)
    desired = decision.desired
    assert desired.stable == make_assignment(generation, values={"release": release})
    assert (desired.generation, desired.canary, desired.previous) == (generation, None, previous)
    assert (desired.written_by, desired.written_at) == (BACK, AT)


@pytest.mark.parametrize("to", ["previous", 7])
def test_canary_that_is_out_is_rolled_back(to):
    """Its nodes return to the stable generation; the other nodes do nothing."""
    decision = back(HISTORY[8], to)
    assert isinstance(decision, Write)
    assert (decision.generation, decision.is_new) == (7, False)
    assert decision.desired == replace(HISTORY[8], canary=None, written_by=BACK, written_at=AT)
    assert all(decision.desired.assignment_for(node) == HISTORY[8].stable for node in WEB)


def test_rollback_to_current_content_changes_nothing():
    """To its own generation, or an older one with the same content."""
    assert back(CURRENT, 7) == Unchanged(7)
    again = stood(10, "2.4.0", 7)
    assert back(again, 6) == Unchanged(10)
    with_canary = replace(again, generation=11, canary=make_canary(11))
    decision = back(with_canary, 6)
    assert isinstance(decision, Write)
    assert (decision.generation, decision.desired.canary) == (10, None)


@pytest.mark.parametrize(
    ("current", "to", "overrides", "reason"),
    [
        (None, "previous", {}, "the tier has no desired state, so there is nothing to roll back"),
        (HISTORY[5], "previous", {}, "generation 5 has no earlier content to go back to"),
        (CURRENT, 4, {}, "generation 4 is not in the tier's history, which holds generations 5 to 7"),
        (CURRENT, 99, {}, "generation 99 is not in the tier's history, which holds generations 5 to 7"),
        (stood(7, "2.5.0", 4), "previous", {}, "generation 4 is not in the tier's history"),
    ],
)
def test_rollback_to_a_missing_generation(current, to, overrides, reason):
    """The reason lists what there is."""
    decision = back(current, to, **overrides)
    assert isinstance(decision, Refused)
    assert reason in decision.reason
    assert not decision.is_stale


def test_rollback_without_any_history():
    """Deleted keys are not guessed."""
    decision = plan_rollback(make_basis(CURRENT), RollBack(BACK))
    assert decision == Refused("generation 6 is not in the tier's history, which holds nothing")


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            {"sequence": 5},
            "it belongs to sequence 1970-01-01T00:00:05Z, and generation 7 of sequence 2025-11-22T00:00:00Z",
        ),
        (
            {"only_own": True, "writer": make_writer(run_id="manual__2")},
            "generation 7 was written by Dag shop_rollout, run manual__1, task web.set, so this Dag run has nothing to",
        ),
    ],
)
def test_rollback_of_what_came_later_is_stale(overrides, reason):
    """Neither an older Dag run's rollback, nor one of only its own writes, undoes another run's write."""
    for current in (CURRENT, HISTORY[8], PROMOTED):
        decision = back(current, **overrides)
        assert isinstance(decision, Refused)
        assert decision.is_stale
    assert reason in back(CURRENT, **overrides).reason


def test_rollback_of_one_generation_only():
    """Undoes only that generation, the canary's while one is out."""
    assert isinstance(back(CURRENT, generation=7), Write)
    assert isinstance(back(HISTORY[8], generation=8), Write)
    for current, generation in ((CURRENT, 6), (CURRENT, 8), (HISTORY[8], 7)):
        decision = back(current, generation=generation)
        assert isinstance(decision, Refused)
        assert decision.is_stale


def test_rollback_of_own_writes():
    """Undoes writes of the same Dag run, by another task; and anyone's without that restriction."""
    assert isinstance(back(CURRENT, only_own=True), Write)
    assert isinstance(back(CURRENT, writer=make_writer(run_id="manual__2")), Write)


@pytest.mark.parametrize(
    ("standing", "own", "written"), [(5, 9, 9), (5, 5, 5), (5, None, 5), (None, 5, 5), (None, None, None)]
)
def test_sequence_of_a_rollback(standing, own, written):
    """It never decreases: what was stale remains stale."""
    decision = back(replace(CURRENT, sequence=standing), sequence=own)
    assert isinstance(decision, Write)
    assert decision.desired.sequence == written


def test_new_generation_is_above_what_cannot_be_read():
    """An unreadable history entry, or a key that was set back, still occupies its generation."""
    decision = plan_rollback(make_basis(CURRENT, history=HISTORY, generations=[12]), RollBack(BACK))
    assert isinstance(decision, Write)
    assert decision.generation == 13
    assert plan_rollback(make_basis(CURRENT, history=HISTORY), RollBack(BACK)).generation == 10


def test_circular_history_ends():
    """An entry that someone edited to name itself as its predecessor causes no endless loop."""
    history = {6: stood(6, "2.5.0", 6)}
    decision = plan_rollback(make_basis(CURRENT, history=history), RollBack(BACK))
    assert decision == Refused("generation 7 has no earlier content to go back to")


# Properties -----------------------------------------------------------------------------------------------------------


class Tier:
    """A tier with its history, changed only by writes."""

    def __init__(self) -> None:
        self.current: DesiredState | None = None
        self.history: dict[int, DesiredState] = {}

    def apply(self, decision: object) -> None:
        """Apply a plan."""
        if isinstance(decision, Write):
            if decision.is_new:
                assert decision.generation not in self.history
                self.history[decision.generation] = decision.desired
            self.current = decision.desired

    def write(self, release: int, *, canary: Wave | None = None, force: bool = False) -> None:
        """Write a release by a new task."""
        writer = make_writer(task_id=f"set-{len(self.history)}-{canary}")
        change = make_change(values={"release": release}, canary=canary, force=force, writer=writer)
        self.apply(plan_write(make_basis(self.current, members=WEB), change))

    def roll_back(self, task_id: str) -> object:
        """Roll back, then again as a retry of the same task."""
        rollback = RollBack(make_writer(task_id=task_id))
        decision = plan_rollback(make_basis(self.current, history=self.history), rollback)
        self.apply(decision)
        if isinstance(decision, Write):
            again = plan_rollback(make_basis(self.current, history=self.history), rollback)
            assert again == Unchanged(decision.generation)
        return decision


kinds = st.sampled_from(["whole", "whole", "waves", "forced", "tried"])


@settings(max_examples=examples(3))
@given(st.lists(st.tuples(st.integers(1, 4), kinds), min_size=1, max_size=8), st.booleans())
def test_rollbacks_go_back_through_all_content(steps, is_out):
    """Each rollback restores the next older content that the whole tier had; then there is no more.

    Whether it came at once, in waves or by force; a canary that was only tried, and taken back, was never the tier's.
    """
    tier, contents = Tier(), []
    for release, kind in steps:
        standing = contents[-1] if contents else None
        if kind in {"waves", "tried"} and standing not in {None, release}:
            tier.write(release, canary=Wave.parse(1))
        if kind == "tried" and standing is not None:
            tier.write(standing)
            continue
        tier.write(release, force=kind == "forced")
        if release != standing:
            contents.append(release)
    if is_out:
        tier.write(99, canary=Wave.parse(1))
        assert isinstance(tier.roll_back("canary"), Write)
    while contents:
        assert tier.current is not None
        assert tier.current.canary is None
        assert tier.current.stable.values == {"release": contents.pop()}
        newest = tier.current.generation
        decision = tier.roll_back(f"back-{len(contents)}")
        assert isinstance(decision, Write) == bool(contents)
        assert tier.current.generation == newest + bool(contents)
    assert decision == Refused(f"generation {tier.current.stable.generation} has no earlier content to go back to")
