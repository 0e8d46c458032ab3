"""The states of a tier, and the transitions between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.decision import Refused, Write
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_assignment, make_basis, make_change, make_desired

STATES = ["off", "waiting", "converged"]
MODEL = StateModel(STATES, [("off", "waiting"), ("waiting", "converged"), ("converged", "off")])


@pytest.mark.parametrize("before", [None, "off", "waiting"])
def test_legal_transitions(before):
    """A listed one, the same state again, and the first state of a tier that was never declared."""
    MODEL.check(before, "waiting")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("off", "converged", "transition off → converged is not in the state model; off may be followed by waiting"),
        ("waiting", "off", "transition waiting → off is not in the state model; waiting may be followed by converged"),
        (None, "on", "unknown state on; expected one of: converged, off, waiting"),
        ("on", "off", "unknown state on; expected one of: converged, off, waiting"),
    ],
)
def test_illegal_transitions(before, after, words):
    """The error names the transition and what is allowed instead."""
    with pytest.raises(InvalidInput) as caught:
        MODEL.check(before, after)
    assert str(caught.value) == words


def test_final_state():
    """It may only be declared again."""
    model = StateModel(["on", "gone"], [("on", "gone")])
    model.check("gone", "gone")
    with pytest.raises(InvalidInput, match="gone may be followed by nothing"):
        model.check("gone", "on")


@pytest.mark.parametrize(
    ("state", "origins"),
    [("off", [None, "off", "converged"]), ("waiting", [None, "waiting", "off"])],
)
def test_origins(state, origins):
    """The states that a tier may leave, as operators take them."""
    assert MODEL.allowed_from(state) == origins


def test_origins_of_an_unknown_state():
    """The error lists the known states."""
    with pytest.raises(InvalidInput, match="unknown state on; expected one of: converged, off, waiting"):
        MODEL.allowed_from("on")


@pytest.mark.parametrize(
    ("states", "transitions", "words"),
    [
        (["off"], [("off", "on")], "transition off → on: unknown state on; expected one of: off"),
        (["on"], [("off", "on")], "transition off → on: unknown state off; expected one of: on"),
        (["o/n"], [], "state 'o/n' is not a name"),
        ([""], [], "state '' is not a name"),
    ],
)
def test_invalid_model_is_refused(states, transitions, words):
    """The error names the transition or the state."""
    with pytest.raises(InvalidInput) as caught:
        StateModel(states, transitions)
    assert words in str(caught.value)


def test_models_compare_by_content():
    """Order and duplicates do not matter, and iterators are accepted."""
    assert StateModel(iter(reversed(STATES)), iter([*MODEL.transitions, ("off", "waiting")])) == MODEL
    assert hash(StateModel(STATES, MODEL.transitions)) == hash(MODEL)


names = st.sampled_from(STATES)


@given(st.lists(st.tuples(names, names)), st.none() | names, names)
def test_write_follows_the_model(transitions, before, after):
    """The check at parse time and the check of a write agree."""
    model = StateModel(STATES, transitions)
    current = None if before is None else make_desired(7, stable=make_assignment(7, state=before))
    change = make_change(state=after, values={"release": "2.6.0"}, allowed_from=model.allowed_from(after))
    decision = plan_write(make_basis(current), change)
    try:
        model.check(before, after)
    except InvalidInput:
        assert isinstance(decision, Refused)
    else:
        assert isinstance(decision, Write)
