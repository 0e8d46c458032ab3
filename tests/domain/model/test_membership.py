"""How authors select a tier's members, and which nodes stay members."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.membership import (
    ListedMembers,
    Member,
    MetaMembers,
    Presence,
    ServiceMembers,
    carry_over,
    parse_members,
)
from airflow_provider_chefconsul.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("members", "selector", "words"),
    [
        ("service", ServiceMembers("web"), "service:web"),
        ("service:nginx", ServiceMembers("nginx"), "service:nginx"),
        ("service:service", ServiceMembers("service"), "service:service"),
        ("meta:role=web", MetaMembers("role", "web"), "meta:role=web"),
        ("meta:role=a=b", MetaMembers("role", "a=b"), "meta:role=a=b"),
        ("meta:role=a:b c", MetaMembers("role", "a:b c"), "meta:role=a:b c"),
        (["web-1", "web-2"], ListedMembers(("web-1", "web-2")), "web-1, web-2"),
        (("web-2", "web-1", "web-2"), ListedMembers(("web-2", "web-1")), "web-2, web-1"),
    ],
)
def test_members_as_authors_write_them(members, selector, words):
    """The service named like the tier, another service, node metadata, or a list in its order without duplicates."""
    assert parse_members(members, "web") == selector
    assert str(selector) == words


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ("", "invalid members ''; expected 'service', 'service:NAME', 'meta:KEY=VALUE' or a list of nodes"),
        ("web-1", "invalid members 'web-1'; expected"),
        ("Service", "invalid members 'Service'; expected"),
        ("meta", "invalid members 'meta'; expected"),
        ("meta:", "invalid members 'meta:'; expected"),
        ("meta:role", "invalid members 'meta:role'; expected"),
        ("meta:role=", "invalid members 'meta:role='; expected"),
        ("meta:=web", "invalid members 'meta:=web'; expected"),
        ("tag:web", "invalid members 'tag:web'; expected"),
        ("service:", "service '' is not a name"),
        ("service:we/b", "service 'we/b' is not a name"),
        ([], "members is an empty list"),
        (["web-1", ""], "node '' is not a name"),
        (["web 1"], "node 'web 1' is not a name"),
        ([1], "node 1 is not a name"),
    ],
)
def test_anything_else_is_refused(members, words):
    """The error shows the text."""
    with pytest.raises(InvalidInput) as caught:
        parse_members(members, "web")
    assert words in str(caught.value)


nodes = st.sampled_from(["web-1", "web-2", "web-3", "web-4"])


@given(st.sets(nodes), st.dictionaries(nodes, st.booleans()))
def test_member_once_seen_stays_one(seen, present):
    """Today's members come from the catalog; earlier ones that it no longer lists are gone; there are no others."""
    presences = {True: Presence.ALIVE, False: Presence.FAILED}
    current = {node: Member(node, presences[is_present]) for node, is_present in present.items()}
    members = carry_over(seen, current)
    assert set(members) == seen | set(current)
    assert all(members[node] == (current.get(node) or Member(node, Presence.GONE)) for node in members)
