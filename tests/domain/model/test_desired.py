"""The desired state: its JSON form, and its valid contents."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary, DesiredState
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.values import check_values
from airflow_provider_chefconsul.domain.model.writer import BOARD, COMMAND_LINE, Writer
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument
from tests.support.factory import make_assignment, make_canary, make_desired, make_writer

KEY = "chefconsul/demo/web/desired"
names = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(is_name)
integers = st.integers(-(2**63), 2**63 - 1)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text()
assignments = st.builds(
    Assignment,
    generation=st.integers(0, 2**63 - 1),
    state=names,
    values=st.dictionaries(st.text(), scalars, max_size=4),
    pace=st.builds(
        AssignmentPace,
        max_parallel=st.none() | st.integers(1, 2**63 - 1),
        per=st.none() | st.text(min_size=1).map("meta:{}".format),
        spread_over=st.integers(0, 2**63 - 1),
    ),
)
canaries = st.builds(
    Canary,
    assignment=assignments,
    salt=names,
    threshold=st.integers(0, BUCKETS),
    nodes=st.lists(names, max_size=3).map(tuple),
)
desired_states = st.builds(
    DesiredState,
    generation=st.integers(0, 2**63 - 1),
    stable=assignments,
    written_by=st.builds(
        make_writer, dag_id=st.text(), run_id=st.text(), task_id=st.text(), map_index=st.integers(-1, 2**63 - 1)
    ),
    written_at=st.text(),
    sequence=st.none() | st.integers(0, 2**63 - 1),
    canary=st.none() | canaries,
    previous=st.none() | st.integers(0, 2**63 - 1),
)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [((7, "a"), (7, "a"), True), ((7, "a"), (7, "b"), False), ((7, "a"), (8, "a"), False), ((7, "a"), (7, None), True)],
)
def test_assignments_are_the_same_by_generation_and_id(one, other, is_same):
    """A generation can recur, an id cannot; an older document has no id."""
    first, second = (make_assignment(number, id=identity) for number, identity in (one, other))
    assert first.is_same_as(second) is second.is_same_as(first) is is_same


@given(desired_states)
def test_json_form_round_trips(desired):
    """A document reads back as the same, including the type of each value, and gives the same text again."""
    read = DesiredState.from_json(KEY, desired.to_json().encode())
    assert read == desired
    assert read.stable.has_content(desired.stable.state, desired.stable.values)
    assert read.to_json() == desired.to_json()


@given(desired_states)
def test_unknown_fields_are_ignored(desired):
    """A later version may add fields without a new schema."""
    fields = json.loads(desired.to_json())
    for level in (fields, fields["stable"], fields["written_by"], *([fields["canary"]] if fields["canary"] else [])):
        level["added_later"] = {"by": ["a", "later", "version"]}
    assert DesiredState.from_json(KEY, json.dumps(fields)) == desired


@given(
    st.recursive(
        scalars, lambda json_values: st.lists(json_values) | st.dictionaries(st.text(), json_values), max_leaves=8
    )
)
def test_any_other_json_is_malformed(document):
    """Any JSON under the key is either the document or an error that names the key."""
    with pytest.raises(MalformedDocument, match=KEY):
        DesiredState.from_json(KEY, json.dumps(document))


@given(desired_states, st.data())
def test_any_field_of_another_type_is_malformed_or_read_as_it_stands(desired, data):
    """Garbage in one field is an error that names the key, never another exception."""
    fields = json.loads(desired.to_json())
    parts = [fields, fields["stable"], fields["written_by"], *([fields["canary"]] if fields["canary"] else [])]
    part = data.draw(st.sampled_from(parts))
    name = data.draw(st.sampled_from(sorted(part)))
    part[name] = data.draw(scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(), scalars, max_size=2))
    try:
        read = DesiredState.from_json(KEY, json.dumps(fields))
    except MalformedDocument as error:
        assert error.key == KEY
    else:
        assert DesiredState.from_json(KEY, read.to_json()) == read


@given(desired_states, names)
def test_each_node_is_assigned_one_of_the_generations(desired, node):
    """The canary's if it lists the node or covers its bucket, else the stable one; nothing else."""
    assignment = desired.assignment_for(node)
    assert assignment is desired.stable or (desired.canary and assignment is desired.canary.assignment)
    assert assignment.generation in desired.generations


@pytest.mark.parametrize(
    ("canary", "generation", "at", "previous", "is_of_canary"),
    [(None, 7, 7, 6, False), (8, 8, 8, 7, True), (8, 7, 7, 6, False), (8, 3, 7, 6, False)],
    ids=["stable", "canary", "beside a canary", "neither"],
)
def test_assignment_of_a_generation(canary, generation, at, previous, is_of_canary):
    """Finds the canary's, the stable one or the previous generation, and says which it is."""
    desired = make_desired(stable=make_assignment(7), canary=canary and make_canary(canary), previous=6)
    assert desired.newest.generation == (canary or 7)
    assert desired.assignment_at(generation).generation == at
    assert (desired.previous_at(generation), desired.is_of_canary(generation)) == (previous, is_of_canary)


@pytest.mark.parametrize(
    ("threshold", "nodes", "covers"), [(0, (), False), (0, ("web-1",), True), (BUCKETS, (), True), (0, ("web",), False)]
)
def test_canary_covers_whom_it_names_or_reaches(threshold, nodes, covers):
    """A threshold of 0 covers no bucket, one of 2^32 covers all; names must match exactly."""
    canary = Canary(make_assignment(8), salt="8", threshold=threshold, nodes=nodes)
    desired = make_desired(8, stable=make_assignment(7), canary=canary)
    assert desired.assignment_for("web-1").generation == (8 if covers else 7)


@pytest.mark.parametrize(
    ("writer", "words"),
    [
        (make_writer(), "Dag shop_rollout, run manual__1, task web.set"),
        (make_writer(map_index=0), "Dag shop_rollout, run manual__1, task web.set[0]"),
        (
            Writer(COMMAND_LINE, "ada@vm 2026-11-22T08:00:00Z", "set"),
            "airflow chefconsul set, ada@vm 2026-11-22T08:00:00Z",
        ),
        (Writer(BOARD, "ada 2026-11-22T08:00:00Z", "promote"), "ada 2026-11-22T08:00:00Z (rollout board, promote)"),
    ],
)
def test_writer_in_words(writer, words):
    """The map index appears only for a mapped task; a person has no Dag."""
    assert str(writer) == words
    assert writer.is_person == (writer.dag_id in {COMMAND_LINE, BOARD})


def test_scalars_are_values():
    """All JSON scalars; the caller's mapping is copied."""
    values = {"release": "2.5.0", "workers": 4, "load": 0.5, "debug": False, "proxy": None, "empty": ""}
    assert check_values(values) == values
    assert check_values(values) is not values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["release"], "values must be a mapping of names to scalars, not list"),
        ("release", "values must be a mapping of names to scalars, not str"),
        (None, "values must be a mapping of names to scalars, not NoneType"),
        ({"a": {"b": 1}}, "values['a'] must be a string, number, boolean or null, not dict: values are flat"),
        ({"a": [1]}, "values['a'] must be a string, number, boolean or null, not list"),
        ({"a": b"x"}, "values['a'] must be a string, number, boolean or null, not bytes"),
        ({"a": float("nan")}, "values['a'] must be"),
        ({"a": 2**63}, "values['a'] is an integer of more than 64 bits"),
        ({"a": float("inf")}, "values['a'] must be"),
        ({1: "a"}, "values: 1 is not a name for a value"),
        ({"": "a"}, "values: '' is not a name for a value"),
    ],
)
def test_invalid_value_is_refused(values, words):
    """The error names the value."""
    with pytest.raises(InvalidInput) as caught:
        check_values(values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("threshold", "nodes", "words"),
    [
        (0, ("a", "b"), "nodes a, b"),
        (2**32, ("a",), "all nodes"),
        (929696169, (), "the nodes below threshold 929696169 (22 % of all names)"),
        (1, ("a",), "nodes a and the nodes below threshold 1 (under 1 % of all names)"),
        (2**32 - 1, (), "the nodes below threshold 4294967295 (99 % of all names)"),
    ],
)
def test_canary_in_words(threshold, nodes, words):
    """Listed nodes, and a share of all names; "all" only if it really is all."""
    assert make_canary(threshold=threshold, nodes=nodes).describe_nodes() == words


def test_assignment_in_words():
    """Text verbatim, other values as JSON."""
    values = {"release": "2.5.0", "debug": True, "motd": None, "replicas": 3}
    described = make_assignment(7, values=values).describe()
    assert described == "generation 7, state converged, release=2.5.0, debug=true, motd=null, replicas=3"
