"""Rolling back to the newest earlier generation on which the whole tier converged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.write.decision import Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from tests.support.examples import examples
from tests.support.factory import make_assignment, make_basis, make_canary, make_desired, make_writer

BACK = make_writer(task_id="web.roll_back")


def stood(generation: int, release: str, state: str = "converged") -> object:
    """What was declared at a generation."""
    stable = make_assignment(generation, state=state, values={"release": release}, id=f"id{generation}")
    return make_desired(generation, stable=stable, previous=generation - 1 if generation > 4 else None)


HISTORY = {
    4: stood(4, "2.3.0"),
    5: stood(5, "2.4.0"),
    6: stood(6, "2.4.0", "waiting"),
    7: stood(7, "2.5.0"),  # never converged
    8: stood(8, "2.6.0"),
}
GOOD = {4, 5, 6, 8}
CANARY = replace(
    HISTORY[8], generation=9, canary=make_canary(9, assignment=make_assignment(9, values={"release": "2.7.0"}))
)


def back(current, good=GOOD, **overrides):
    """Plan it; generation n has the id "idn"."""
    history = {number: each for number, each in HISTORY.items() if number <= current.generation}
    basis = make_basis(current, history=history, good=frozenset((number, f"id{number}") for number in good))
    return plan_rollback(basis, RollBack(BACK, "last_good", **overrides))


@pytest.mark.parametrize(
    ("current", "good", "overrides", "release"),
    [
        (HISTORY[8], GOOD, {}, "2.4.0"),
        (HISTORY[8], {4, 8}, {}, "2.3.0"),
        (HISTORY[8], {4, 6, 8}, {"state": "waiting"}, "2.4.0"),
        (HISTORY[6], GOOD, {"state": "converged"}, "2.4.0"),
        (CANARY, {4}, {}, "2.3.0"),
        (stood(9, "2.4.0"), {4, 5, 9}, {}, "2.3.0"),
    ],
    ids=[
        "not over what never converged",
        "further back",
        "another state",
        "back from another state",
        "past a canary beside what is not good",
        "to other content",
    ],
)
def test_content_of_the_newest_good_generation(current, good, overrides, release):
    """It becomes a new generation."""
    decision = back(current, good, **overrides)
    assert isinstance(decision, Write)
    assert decision.act is JournalAct.ROLLED_BACK
    assert decision.desired.stable.values == {"release": release}
    assert decision.desired.stable.state == overrides.get("state", "converged")
    assert decision.generation == current.generation + 1


def test_twice_goes_further_back():
    """Not to the release that was rolled back, although it had converged."""
    once = back(HISTORY[8], {4, 5, 8}).desired
    assert once.stable.values == {"release": "2.4.0"}
    history = {**HISTORY, 9: once}
    good = frozenset((number, f"id{number}") for number in (4, 5, 8, 9))
    other = make_writer(task_id="again")
    twice = plan_rollback(make_basis(once, history=history, good=good), RollBack(other, "last_good"))
    assert twice.desired.stable.values == {"release": "2.3.0"}


def test_canary_beside_what_is_good_is_only_taken_back():
    """The nodes that have the stable generation do nothing."""
    decision = back(CANARY)
    assert isinstance(decision, Write)
    assert (decision.desired.canary, decision.generation, decision.is_new) == (None, 8, False)


@pytest.mark.parametrize(
    ("current", "good", "overrides"),
    [(HISTORY[8], set(), {}), (HISTORY[8], {8}, {}), (HISTORY[8], GOOD, {"state": "off"}), (HISTORY[6], GOOD, {})],
    ids=["no verdicts", "only what stands", "never in that state", "never before in the state that it is in"],
)
def test_refused_without_one(current, good, overrides):
    """In words that say which state was looked for."""
    decision = back(current, good, **overrides)
    assert isinstance(decision, Refused)
    state = overrides.get("state", current.stable.state)
    assert decision.reason.startswith(
        f"no earlier generation is known on which the whole tier converged in state {state}"
    )


@settings(max_examples=examples())
@given(st.sampled_from([*HISTORY.values(), CANARY]), st.sets(st.sampled_from(sorted(HISTORY))))
def test_never_to_what_is_not_known_to_be_good(current, good):
    """Whatever the journal tells, in the state that the tier is in."""
    decision = back(current, good)
    assert not isinstance(decision, Unchanged)
    if isinstance(decision, Write):
        content = decision.desired.stable
        assert content.state == current.newest.state
        assert any(HISTORY[number].stable.has_content(content.state, content.values) for number in good)
