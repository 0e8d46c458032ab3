"""Whether a token can see everything, as an old and a new Consul reveal it."""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.consul.tiers_watch import watch_tiers
from airflow_provider_chefconsul.consul.token_scope import check_token_sees_all, find_denials
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.exceptions import AccessDenied
from tests.support.acl_fixtures import MANAGEMENT_TOKEN
from tests.support.peer import Answer, Peer, Request, forward_to

WHOLE = """
key_prefix "ROOT/" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }
"""
HIDDEN = 'key_prefix "ROOT/demo/db/" { policy = "deny" }'


@pytest.fixture
def create_token(acl_consul, consul_root):
    """Two tiers, and tokens with certain rules."""
    for tier in ("web", "db"):
        acl_consul.put(f"kv/{consul_root}/demo/{tier}/desired", {})
    return lambda rules: acl_consul.create_token(rules.replace("ROOT", consul_root))


def newer(port: int, *, hides: bool) -> Peer:
    """Consul 1.13, which reports its version and whether a list of keys was filtered."""
    forward = forward_to(port)

    def answer(request: Request) -> Answer:
        if request.path == "/v1/agent/version":
            return Answer(200, '{"HumanVersion": "1.13.0"}')
        found = forward(request)
        if hides and "keys" in request.query:
            return Answer(found.status, found.body, {**found.headers, "X-Consul-Results-Filtered-By-ACLs": "true"})
        return found

    return Peer(answer)


@pytest.mark.parametrize("must_be_known", [True, False])
async def test_newer_consul_reports_filtered_lists(acl_consul, consul_root, create_token, must_be_known):
    """It is believed, without permission to read rules."""
    token = create_token(WHOLE)
    for hides in (False, True):
        with newer(acl_consul.port, hides=hides) as peer:
            async with replace(acl_consul, port=peer.port).connect(token, consul_root) as client:
                view = SharedView(client)
                subscribed = check_token_sees_all(view, view.keys.environment("demo"), must_be_known=must_be_known)
                if hides:
                    with pytest.raises(AccessDenied, match="the ACL token may read only part of this list"):
                        await subscribed
                else:
                    await subscribed


async def test_lists_stay_short(acl_consul, consul_root, create_token):
    """However many nodes report, Consul writes down none of their keys: that would take longer than reading them."""
    token = create_token(WHOLE)
    for number in range(100):
        acl_consul.put(f"kv/{consul_root}/demo/web/nodes/web-{number}", {})
    sizes = []
    forward = forward_to(acl_consul.port)

    def answer(request: Request) -> Answer:
        found = forward(request)
        sizes.append(len(found.body))
        return found

    with Peer(answer) as peer:
        async with replace(acl_consul, port=peer.port).connect(token, consul_root) as client:
            view = SharedView(client)
            await check_token_sees_all(view, view.keys.environment("demo"))
    assert max(sizes) < 1000


async def test_older_consul_may_not_tell(older_acl_consul, consul_root, create_token):
    """The caller decides."""
    async with older_acl_consul.connect(create_token(WHOLE), consul_root) as client:
        view = SharedView(client)
        await check_token_sees_all(view, view.keys.environment("demo"))
        with pytest.raises(AccessDenied, match=re.escape('give its policy acl = "read", or name environment and tier')):
            await check_token_sees_all(view, view.keys.environment("demo"), must_be_known=True)


async def test_management_token_sees_all(acl_consul, consul_root, create_token):
    """Its rules deny nothing."""
    async with acl_consul.connect(MANAGEMENT_TOKEN, consul_root) as client:
        view = SharedView(client)
        await check_token_sees_all(view, view.keys.environment("demo"), must_be_known=True)


async def test_consul_without_acls_hides_nothing(view, consul_kv):
    """There are no rules to read."""
    consul_kv["demo/web/desired"] = "{}"
    await check_token_sees_all(view, view.keys.environment("demo"), must_be_known=True)


async def test_watch_of_all_tiers_by_a_token_that_misses_one(older_acl_consul, consul_root, create_token):
    """The rest would pass for the whole environment."""
    token = create_token(WHOLE + HIDDEN + 'acl = "read"')
    async with (
        older_acl_consul.connect(token, consul_root) as client,
        aclosing(watch_tiers(SharedView(client), "demo", None, "service")) as watch,
    ):
        with pytest.raises(AccessDenied, match='rules deny key_prefix "test-.*/demo/db/"'):
            await anext(watch)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("", []),
        ('key_prefix "a/" { policy = "read" } operator = "read"', []),
        ('key_prefix "a/demo/db/" { policy = "deny" }', ['key_prefix "a/demo/db/"']),
        ('key "a/demo/db/desired" {\n  policy = "deny"\n}', ['key "a/demo/db/desired"']),
        ('key_prefix "b/" { policy = "deny" }', []),
        ('node "web-7" { policy="deny" }', ['node "web-7"']),
        ('agent_prefix "" { policy = "deny" } operator = "deny"', []),
        ('{"node": {"web-7": {"policy": "deny"}}}', ["rules that are not understood"]),
        ('node "web-7" { intentions = "read" policy = "deny" }', ["rules that are not understood"]),
    ],
)
def test_denials_in_rules(rules, found):
    """Those that hide a key below the prefix, a node or a service; rules that cannot be parsed may."""
    assert find_denials(rules, "a/demo/") == found
