"""How fast nodes may take an assignment up: the JSON form, the groups, and when each node begins."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.pace import NO_LIMIT, AssignmentPace
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.support.factory import make_assignment, make_desired

KEY = "chefconsul/demo/web/desired"


def read(**fields: object) -> AssignmentPace:
    """The pace of the stable assignment with these fields in its document."""
    document = json.loads(make_desired().to_json())
    document["stable"] |= fields
    return DesiredState.from_json(KEY, json.dumps(document)).stable.pace


@pytest.mark.parametrize(
    ("fields", "pace"),
    [
        ({}, NO_LIMIT),
        ({"max_parallel": None, "per": None, "spread_over": None}, NO_LIMIT),
        ({"max_parallel": 2}, AssignmentPace(2)),
        ({"max_parallel": 2, "per": "meta:rack"}, AssignmentPace(2, "meta:rack")),
        ({"spread_over": 300}, AssignmentPace(spread_over=300)),
    ],
)
def test_read(fields, pace):
    """What is not there limits nothing, as in older documents."""
    assert read(**fields) == pace


@pytest.mark.parametrize(
    "fields",
    [
        {"max_parallel": 0}, {"max_parallel": -1}, {"max_parallel": "2"}, {"max_parallel": 2.0},
        {"max_parallel": True}, {"per": "rack"}, {"per": "meta:"}, {"per": 1}, {"spread_over": -1},
    ],
)  # fmt: skip
def test_malformed(fields):
    """A limit that cannot be meant is refused, with its name: nodes must not take it for none."""
    with pytest.raises(MalformedDocument, match=f"stable.{next(iter(fields))}"):
        read(**fields)


def test_unlimited_assignment_is_written_as_before():
    """So that what older versions wrote is found again byte for byte."""
    assert make_assignment().to_fields().keys() == {"generation", "state", "values"}


@pytest.mark.parametrize(("per", "group"), [(None, ""), ("meta:rack", "r1"), ("meta:zone", "")])
def test_group(per, group):
    """The value of the metadata; nodes without it share a group."""
    assert AssignmentPace(2, per).group_of({"rack": "r1"}) == group


def test_content_is_the_same_at_another_pace():
    """The pace is no part of what makes an assignment the same."""
    paced = make_assignment(pace=AssignmentPace(2))
    assert paced.is_same_as(make_assignment())
    assert paced.has_content("converged", {"release": "2.5.0"})


@given(st.text("abc-019", min_size=1), st.integers(0, 10_000), st.integers(1, 100))
def test_node_begins_within_the_spread(node, spread, generation):
    """At a moment of its own that stays the same."""
    assignment = make_assignment(generation, pace=AssignmentPace(spread_over=spread))
    assert 0 <= assignment.delay_of(node) <= spread
    assert assignment.delay_of(node) == assignment.delay_of(node)


def test_moments_differ_by_node_and_assignment():
    """Else one node would always be the first."""
    first, second = (make_assignment(pace=AssignmentPace(spread_over=300), id=name) for name in "ab")
    moments = {each.delay_of(node) for each in (first, second) for node in ("web-1", "web-2")}
    assert len(moments) == 4
    assert make_assignment(7, pace=AssignmentPace(spread_over=300)).delay_of("web-1") == pytest.approx(
        int("9256170f", 16) / 2**32 * 300  # sha256 of "7:web-1"
    )


@pytest.mark.parametrize(
    ("pace", "text"),
    [
        (AssignmentPace(1), "1 slot"),
        (AssignmentPace(2, "meta:rack"), "2 slots per meta:rack"),
        (AssignmentPace(2, spread_over=60), "2 slots, spread over 60 s"),
        (NO_LIMIT, "no limit"),
    ],
)
def test_words(pace, text):
    """As logs say it."""
    assert str(pace) == text
    assert make_assignment(pace=pace).describe().endswith(f", {text}") is (pace != NO_LIMIT)
