"""The grammar of faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.fault import GRAMMAR, Condition, Fault, Kind, parse_fault
from tests.support.factory import make_assignment

READABLE = {
    "web-7 fails in converged": {"kind": Kind.FAILS, "nodes": "web-7", "condition": Condition("converged")},
    "web-7 fails": {"kind": Kind.FAILS, "nodes": "web-7"},
    "web-3 is slow 20s": {"kind": Kind.SLOW, "nodes": "web-3", "seconds": 20.0},
    "web-3 is slow 1.5s in off": {
        "kind": Kind.SLOW, "nodes": "web-3", "seconds": 1.5, "condition": Condition("off"),
    },
    "web-* hangs in off": {"kind": Kind.HANGS, "nodes": "web-*", "condition": Condition("off")},
    "* hang": {"kind": Kind.HANGS, "nodes": "*"},
    "db-2 goes absent at 10s": {"kind": Kind.ABSENT, "nodes": "db-2", "at": 10.0},
    "db-2 returns at 2m": {"kind": Kind.RETURNS, "nodes": "db-2", "at": 120.0},
    "web-9 joins at 500ms": {"kind": Kind.JOINS, "nodes": "web-9", "at": 0.5},
    "web-9 joins in converged": {"kind": Kind.JOINS, "nodes": "web-9", "condition": Condition("converged")},
    "web-4 reports malformed": {"kind": Kind.MALFORMED, "nodes": "web-4"},
    "web-3 dies after converging": {"kind": Kind.DIES, "nodes": "web-3"},
    "10% of web die after converging with release=2.5.0": {
        "kind": Kind.DIES, "tier": "web", "share": "10%", "condition": Condition(None, ("release", "2.5.0")),
    },
    "web-3 reboots 5s in converged": {
        "kind": Kind.REBOOTS, "nodes": "web-3", "seconds": 5.0, "condition": Condition("converged"),
    },
    "2 of web reboot 500ms": {"kind": Kind.REBOOTS, "tier": "web", "share": 2, "seconds": 0.5},
    "web-3 leaves in converged": {"kind": Kind.LEAVES, "nodes": "web-3", "condition": Condition("converged")},
    "web-* leave at 10s": {"kind": Kind.LEAVES, "nodes": "web-*", "at": 10.0},
    "web-5 flaps every 5s": {"kind": Kind.FLAPS, "nodes": "web-5", "seconds": 5.0},
    "10% of web fail in converged": {
        "kind": Kind.FAILS, "tier": "web", "share": "10%", "condition": Condition("converged"),
    },
    "3 of db-eu go absent in off": {"kind": Kind.ABSENT, "tier": "db-eu", "share": 3, "condition": Condition("off")},
    "1 of web fails with release=2.5.0": {
        "kind": Kind.FAILS, "tier": "web", "share": 1, "condition": Condition(None, ("release", "2.5.0")),
    },
    "web-1 hangs in off with note=a=b": {
        "kind": Kind.HANGS, "nodes": "web-1", "condition": Condition("off", ("note", "a=b")),
    },
}  # fmt: skip


@pytest.mark.parametrize("text", READABLE)
def test_fault_means_what_it_says(text):
    """Each form of the grammar."""
    assert parse_fault(text) == Fault(text=text, **READABLE[text])


def test_white_space_does_not_matter():
    """It is joined, so that the text stays one line."""
    assert parse_fault("  web-7\n fails  in\tconverged ") == parse_fault("web-7 fails in converged")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read"),
        ("web-7", "cannot be read"),
        ("web-7 explodes in converged", "cannot be read"),
        ("web-7 fails in", "cannot be read"),
        ("web-7 fails in converged at once", "cannot be read"),
        ("web-7 is slow", "cannot be read"),
        ("web-7 is slow \u0661s", "cannot be read"),
        ("web-7 is slow 20", "cannot be read"),
        ("web-7 is slow -1s", "cannot be read"),
        ("web-7 is slow 0s", "a duration must be above zero"),
        ("web-7 flaps every 0ms", "a duration must be above zero"),
        ("web-7 flaps every 5s in off", "flaps from the start"),
        ("web-7 fails at 3s", "leave 'at 3s' out"),
        ("web-7 dies", "cannot be read"),
        ("web-7 dies after converging at 3s", "leave 'at 3s' out"),
        ("web-7 reboots", "cannot be read"),
        ("web-7 reboots 0s", "a duration must be above zero"),
        ("web-7 reboots 5s at 3s", "leave 'at 3s' out"),
        ("web-7 leaves", "say when a node leaves"),
        ("web-7 leaves at 3s in off", "say when a node leaves"),
        ("web-7 goes absent", "say when a node goes absent"),
        ("web-7 returns at 3s in off", "say when a node returns"),
        ("web-7 joins", "say when a node joins"),
        ("ten of web fail", "cannot be read"),
        ("10 % of web fail", "cannot be read"),
        ("web/7 fails", "cannot be read"),
    ],
)
def test_unreadable_fault_is_named(text, why):
    """The error holds the text, what is wrong with it where that is known, and the grammar."""
    with pytest.raises(InvalidInput) as caught:
        parse_fault(text)
    assert repr(text) in str(caught.value)
    assert why in str(caught.value)
    assert str(caught.value).endswith(GRAMMAR)


def test_fault_that_is_no_text_is_refused():
    """As when a YAML file holds a number."""
    with pytest.raises(InvalidInput, match="not 7"):
        parse_fault(7)  # type: ignore[arg-type]


WORDS = [
    "web-7",
    "fails",
    "hang",
    "in",
    "off",
    "with",
    "a=b",
    "at",
    "1s",
    "10%",
    "of",
    "*",
    "flaps",
    "every",
    "is",
    "slow",
    "dies after converging",
    "reboots",
    "leaves",
]


@given(st.text() | st.lists(st.sampled_from(WORDS)))
def test_any_text_is_a_fault_or_an_error_that_names_it(words):
    """Nothing else comes of it, and what was read reads the same again."""
    text = words if isinstance(words, str) else " ".join(words)
    try:
        fault = parse_fault(text)
    except InvalidInput as error:
        assert repr(text) in str(error)
    else:
        assert parse_fault(fault.text) == fault


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        (Condition(), True),
        (Condition("converged"), True),
        (Condition("off"), False),
        (Condition(None, ("release", "2.5.0")), True),
        (Condition(None, ("release", "2.5.1")), False),
        (Condition(None, ("rows", "7")), True),
        (Condition(None, ("is_new", "true")), True),
        (Condition(None, ("is_new", "True")), False),
        (Condition(None, ("missing", "")), False),
        (Condition("off", ("release", "2.5.0")), False),
        (Condition("converged", ("release", "2.5.0")), True),
    ],
)
def test_condition_is_about_an_assignment(condition, is_met):
    """The state and the value must both fit, where they are given."""
    values = {"release": "2.5.0", "rows": 7, "is_new": True}
    assert condition.is_met_by(make_assignment(values=values)) is is_met
