"""Several transitions of one task: how they are written, and at which one the task stands."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.write.transition import Transition, find_transition, parse_transitions
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_assignment, make_desired, make_writer

STEPS = parse_transitions([("web", "off"), (["app", "db"], "off"), ("web", "converged")])


def written(state, transition=None, **writer):
    """A desired state that some task's transition of this number wrote."""
    return make_desired(
        7, stable=make_assignment(7, state=state), written_by=make_writer(transition=transition, **writer)
    )


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ({}, 1),
        ({"web": None, "app": None}, 1),
        ({"web": written("off")}, 1),
        ({"web": written("off", 1)}, 1),
        ({"web": written("off", 1), "app": written("off", 2), "db": written("off", 2)}, 2),
        ({"web": written("converged", 3), "app": written("off", 2), "db": written("off", 2)}, 3),
        ({"web": written("off", 1, run_id="manual__2"), "app": written("off", 2)}, 2),
        ({"web": written("converged", 3, task_id="other")}, 1),
        ({"web": written("converged", 3, map_index=4)}, 1),
    ],
)
def test_where_a_task_stands(current, expected):
    """At the last transition that this very task wrote; other tasks' and other runs' writes say nothing."""
    assert find_transition(STEPS, make_writer(), current) == expected


@pytest.mark.parametrize(
    "current", [{"web": written("off", 4)}, {"web": written("off", 2)}, {"web": written("off", 3)}]
)
def test_changed_steps_are_refused(current):
    """A Dag that was edited in the middle of a run would go on at the wrong place."""
    with pytest.raises(InvalidInput, match=r"the steps were changed .*: its step \d was web → off; trigger another"):
        find_transition(STEPS, make_writer(), current)


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
