"""The keys of the shared data view."""

from __future__ import annotations

import re

import pytest

from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.exceptions import InvalidInput


def test_keys():
    """The data view's table."""
    keys = Keys()
    assert keys.environment("demo") == "chefconsul/demo/"
    assert keys.tier("demo", "web") == "chefconsul/demo/web/"
    assert keys.desired("demo", "web") == "chefconsul/demo/web/desired"
    assert keys.reports("demo", "web") == "chefconsul/demo/web/nodes/"
    assert keys.report("demo", "web", "web-1") == "chefconsul/demo/web/nodes/web-1"
    assert keys.slots("demo", "web") == "chefconsul/demo/web/_slots/"
    assert keys.slot("demo", "web", "web-1") == "chefconsul/demo/web/_slots/web-1"
    assert keys.kind("demo", "web", keys.slot("demo", "web", "web-1")) == "slots"
    assert keys.lease("demo") == "chefconsul/demo/_lease"
    assert keys.histories("demo", "web") == "chefconsul/demo/_history/web/"
    assert keys.history("demo", "web", 43) == "chefconsul/demo/_history/web/000000000043"


@pytest.mark.parametrize("root", ["a", "chefconsul", "teams/shop/chefconsul", "a.b/c_d/e-f"])
def test_root(root):
    """A root is one or more names."""
    assert Keys(root).desired("demo", "web") == f"{root}/demo/web/desired"


@pytest.mark.parametrize("root", ["", "/", "/a", "a/", "a//b", "a/../b", "a/_b", "a b", "a?b", "ä", "a\n", 5, None])
def test_root_that_would_not_survive_in_a_url_is_refused(root):
    """Consul redirects a key with "//" and loses the value; the error shows the prefix."""
    with pytest.raises(InvalidInput) as caught:
        Keys(root)
    assert str(caught.value) == f"prefix {root!r} is not one or more names with '/' between"


def test_newer_consul_takes_every_key():
    """From 1.21.5 on, it refuses keys with characters that this pattern of its source lacks."""
    name = "a" + "".join(character for character in map(chr, range(128)) if is_name(f"a{character}"))
    keys = Keys(f"{name}/{name}")
    run = "scheduled__2026-11-22T08:00:00+00:00"
    for key in (keys.report(name, name, name), keys.history(name, name, 7), keys.lost_lease(name, "shop", run)):
        assert re.fullmatch(r"[a-zA-Z0-9,_./\-?&=]+", key)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda keys: keys.environment("_nodes"), "environment '_nodes' is not a name"),
        (lambda keys: keys.desired("de/mo", "web"), "environment 'de/mo' is not a name"),
        (lambda keys: keys.desired("demo", "_history"), "tier '_history' is not a name"),
        (lambda keys: keys.reports("demo", ""), "tier '' is not a name"),
        (lambda keys: keys.report("demo", "web", "../desired"), "node '../desired' is not a name"),
        (lambda keys: keys.history("demo", "..", 1), "tier '..' is not a name"),
    ],
)
def test_key_of_an_invalid_name_is_refused(make, words):
    """Names are checked before they reach a URL, so none can be mistaken for another key."""
    with pytest.raises(InvalidInput) as caught:
        make(Keys())
    assert words in str(caught.value)
