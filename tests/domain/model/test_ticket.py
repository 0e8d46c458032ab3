"""A ticket for a slot: its JSON form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.exceptions import MalformedDocument, UnknownSchema
from tests.support.factory import make_ticket

CONTRACT = json.loads((Path(__file__).parents[2] / "contract" / "tickets.json").read_text())
KEY = "chefconsul/demo/web/_slots/web-1"


@given(st.none() | st.text(), st.text(), st.none() | st.text(), st.integers(1, 2**63 - 1), st.booleans())
def test_round_trip(node_id, group, held_since, ttl, is_failed):
    """What is written reads back as the same."""
    ticket = make_ticket(node_id=node_id, group=group, held_since=held_since, ttl=ttl, is_failed=is_failed)
    assert Ticket.from_json(KEY, ticket.to_json()) == ticket


def test_form():
    """The fields of the contract between both sides."""
    assert json.loads(make_ticket(id="a1", held_since="2026-11-22T08:00:02Z", ttl=120).to_json()) == {
        "schema": 1, "node": "web-1", "node_id": None, "run_id": "3039", "generation": 7, "id": "a1", "group": "",
        "since": "2026-11-22T08:00:01Z", "held_since": "2026-11-22T08:00:02Z", "ttl": 120, "failed": False,
        "renewals": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"node": "web-2"}, {"node": "../x"}, {"ttl": 0}, {"ttl": "120"}, {"failed": "no"}, {"group": None},
        {"generation": None}, {"since": 1}, {"held_since": 1}, {"run_id": None},
    ],
)  # fmt: skip
def test_malformed(fields):
    """An error that names the key."""
    text = json.dumps(json.loads(make_ticket().to_json()) | fields)
    with pytest.raises(MalformedDocument, match=KEY):
        Ticket.from_json(KEY, text)


@pytest.mark.parametrize("case", CONTRACT, ids=[case["why"] for case in CONTRACT])
def test_both_languages_read_the_same(case):
    """And call the same malformed."""
    key = f"chefconsul/demo/web/_slots/{case['node']}"
    if case["is_malformed"]:
        with pytest.raises(MalformedDocument, match=key):
            Ticket.from_json(key, case["raw"])
        return
    ticket = Ticket.from_json(key, case["raw"])
    said = {name: getattr(ticket, name) for name in ("is_held", "is_failed", "group", "ttl")}
    assert said == {name: case[name] for name in said}


def test_unknown_schema_and_fields():
    """Another schema is refused, a further field is not."""
    document = json.loads(make_ticket().to_json())
    assert Ticket.from_json(KEY, json.dumps(document | {"later": 1})) == make_ticket()
    with pytest.raises(UnknownSchema):
        Ticket.from_json(KEY, json.dumps(document | {"schema": 2}))


def test_renewal_is_another_document():
    """Consul takes no notice of a write that changes nothing."""
    assert make_ticket().renew().to_json() != make_ticket().to_json()
    assert replace(make_ticket().renew(), renewals=0) == make_ticket()
    assert make_ticket().renew().is_renewal_of(make_ticket())
    assert not make_ticket(held_since="2026-11-22T08:00:02Z").is_renewal_of(make_ticket())


@pytest.mark.parametrize(("own", "other", "is_other"), [("a", "b", True), ("a", "a", False), (None, "b", False)])
def test_other_machine(own, other, is_other):
    """Only where both ids are known."""
    assert replace(make_ticket(), node_id=own).is_of_other_machine(other) is is_other
    assert replace(make_ticket(), node_id=other).is_of_other_machine(own) is is_other
