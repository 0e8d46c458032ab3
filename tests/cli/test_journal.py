"""`airflow chefconsul journal`."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def steered(airflow_chefconsul, declare):
    """Web and app are declared, then web is frozen."""
    declare()
    declare("app")
    airflow_chefconsul("freeze", "demo", "web", "--reason", "evening")


@pytest.mark.usefixtures("steered")
def test_entries_oldest_first(airflow_chefconsul):
    """When, which tier, what, who and why: a line each."""
    ended = airflow_chefconsul("journal", "demo")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split("Z ")[1].split(", by ")[0] for line in lines] == [
        "web: declared generation 1, state converged, release=2.5.0",
        "app: declared generation 1, state converged, release=2.5.0",
        "frozen web",
    ]
    assert lines == sorted(lines)
    assert lines[-1].endswith(": evening")


@pytest.mark.usefixtures("steered")
def test_json_is_what_consul_holds(airflow_chefconsul, consul_kv):
    """So that scripts see what later versions add to an entry that they write."""
    document = airflow_chefconsul("journal", "demo", "-o", "json").json
    stored = [json.loads(consul_kv[key]) for key in sorted(consul_kv) if "/_journal/" in key]
    assert document == {"environment": "demo", "entries": stored}


@pytest.mark.usefixtures("steered")
@pytest.mark.parametrize(
    ("words", "acts"),
    [
        (("--tier", "app"), ["declared"]),
        (("--tier", "web"), ["declared", "frozen"]),
        (("--since", "1h"), ["declared", "declared", "frozen"]),
        (("--since", "2020-01-01T00:00:00Z", "--tier", "web"), ["declared", "frozen"]),
        (("--since", "2099-01-01T00:00:00Z"), []),
    ],
)
def test_selection(airflow_chefconsul, words, acts):
    """By tier and by time."""
    document = airflow_chefconsul("journal", "demo", *words, "-o", "json").json
    assert [each["act"] for each in document["entries"]] == acts
    said = airflow_chefconsul("journal", "demo", *words).out
    assert (said == "demo: the journal tells of nothing of the kind\n") is (not acts)


@pytest.mark.usefixtures("steered")
@pytest.mark.parametrize("forgotten", [("web",), ("web", "app")])
def test_tier_that_was_forgotten(airflow_chefconsul, consul_kv, forgotten):
    """The journal still tells of it, also when nothing else is declared; a tier that it never names is an error."""
    for tier in forgotten:
        assert airflow_chefconsul("forget", "demo", tier, "--yes").code == 0
    for words, acts in {("--tier", "web"): ["declared", "frozen"], (): ["declared", "declared", "frozen"]}.items():
        ended = airflow_chefconsul("journal", "demo", *words, "-o", "json")
        assert ended.code == 0, ended.err
        assert [each["act"] for each in ended.json["entries"]] == acts
    airflow_chefconsul("freeze", "demo", "--reason", "an act that concerns every tier and names none")
    assert airflow_chefconsul("journal", "demo", "--tier", "wbe").code == 3


def test_journal_without_entries(airflow_chefconsul, declare, consul_kv):
    """An environment of an earlier version."""
    declare()
    for key in [key for key in consul_kv if "/_journal/" in key]:
        del consul_kv[key]
    ended = airflow_chefconsul("journal", "demo")
    assert (ended.code, ended.out) == (0, "demo: the journal tells of nothing\n")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("dmeo",), 3, "nothing is declared in dmeo yet: "),
        (("demo", "--tier", "wbe"), 3, "environment demo has no tier wbe: "),
        (("demo", "--tier", "we/b"), 2, "tier 'we/b' is not a name"),
        (("demo", "--since", "yesterday"), 2, "--since must be a duration such as 2h, or a time with an offset"),
        (("demo", "--since", "999999999d"), 2, "--since must be a duration such as 2h, or a time with an offset"),
    ],
)
def test_bad_input(airflow_chefconsul, declare, words, code, why):
    """One line."""
    declare()
    ended = airflow_chefconsul("journal", *words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"airflow chefconsul: error: {why}")
