"""Several transitions of one task: how they are written, and at which one the task stands."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.write.transition import Transition, find_transition, parse_transitions
from airflow_provider_chefconsul.exceptions import InvalidInput, WriteRefused
from tests.support.factory import make_assignment, make_desired, make_writer

STEPS = parse_transitions([("web", "off"), (["app", "db"], "off"), ("web", "converged")])


VALUES = {"release": "2.5.0"}


def written(state, transition=None, **writer):
    """A desired state that some task's transition of this number wrote."""
    return make_desired(
        7, stable=make_assignment(7, state=state), written_by=make_writer(transition=transition, **writer)
    )


OFF = {"web": written("off", 1), "app": written("off", 2), "db": written("off", 2)}


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ({}, 0),
        ({"web": None, "app": None}, 0),
        ({"web": written("off")}, 0),
        ({"web": written("off", 1)}, 1),
        (OFF, 2),
        ({**OFF, "web": written("converged", 3)}, 3),
        ({**OFF, "web": written("off", 1, run_id="manual__2")}, 2),
        ({"web": written("converged", 3, task_id="other")}, 0),
        ({"web": written("converged", 3, map_index=4)}, 0),
    ],
)
def test_where_a_task_stands(current, expected):
    """After the last transition that this very task wrote; other tasks' and other runs' writes say nothing."""
    assert find_transition(STEPS, VALUES, make_writer(), current) == expected


@pytest.mark.parametrize(
    ("current", "values", "words"),
    [
        ({"web": written("off", 4)}, VALUES, "step 4 of this Dag run is not in the Dag any more; trigger another"),
        ({**OFF, "web": written("converged", 2)}, VALUES, "in tier web, generation 7, state converged"),
        ({"web": written("off", 1), "app": written("off", 2)}, VALUES, "in tier db, nothing is desired"),
        ({**OFF, "web": written("converged", run_id="fix")}, VALUES, "written by Dag shop_rollout, run fix"),
        (OFF, {"release": "2.6.0"}, "not state off with this task's values; trigger another Dag run"),
    ],
)
def test_what_no_longer_stands_is_refused(current, values, words):
    """Steps that were undone, edited in the Dag or made with other values: to go on would end green and half done."""
    with pytest.raises(WriteRefused, match=words):
        find_transition(STEPS, values, make_writer(), current)


def test_pairs_are_parsed():
    """Of one tier or several."""
    assert STEPS[1] == Transition(("app", "db"), "off")
    assert list(map(str, STEPS)) == ["web → off", "app, db → off", "web → converged"]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "steps must be a list of pairs"),
        ("web", "steps must be a list of pairs"),
        ({"web": "off"}, "steps must be a list of pairs"),
        (["web"], "a step must be a pair of a tier"),
        ([("web", "off", "on")], "a step must be a pair of a tier"),
        ([([], "off")], "a step must be a pair of a tier"),
        ([("web", None)], "a step must be a pair of a tier"),
        ([("we/b", "off")], "tier 'we/b' is not a name"),
        ([("web", "o n")], "state 'o n' is not a name"),
    ],
)
def test_bad_pairs(pairs, words):
    """Each is one clear error."""
    with pytest.raises(InvalidInput, match=words):
        parse_transitions(pairs)
