"""The shared data view under ACLs that deny by default: which rules a token needs, and what happens without them."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import pytest

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.history_watch import watch_histories
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.tiers_watch import watch_tiers
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, MetaMembers, ServiceMembers
from airflow_provider_chefconsul.domain.write.decision import Write
from airflow_provider_chefconsul.exceptions import AccessDenied
from tests.support.acl_fixtures import MANAGEMENT_TOKEN, UNKNOWN_TOKEN, AclConsul
from tests.support.factory import make_change, make_report

# What a Dag needs to write desired states and to wait for nodes. docs/how-to/acl.md quotes this.
ORCHESTRATOR = """
key_prefix "chefconsul/" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}
service_prefix "" {
  policy = "read"
}
"""
# The same, with the keys as narrow as they can be: reports are the nodes' own to write.
NARROW = """
key_prefix "chefconsul/demo/" {
  policy = "read"
}
key "chefconsul/demo/web/desired" {
  policy = "write"
}
key_prefix "chefconsul/demo/_history/web/" {
  policy = "write"
}
key "chefconsul/demo/_lease" {
  policy = "write"
}
key_prefix "chefconsul/demo/_lost/" {
  policy = "write"
}
key "chefconsul/demo/_freeze" {
  policy = "write"
}
key_prefix "chefconsul/demo/_journal/" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}
service_prefix "" {
  policy = "read"
}
"""
CATALOG = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'
WEB = ServiceMembers("web")


@dataclass
class Guarded:
    """A tier with a member that has reported, and a way to make tokens."""

    consul: AclConsul
    root: str

    def rules(self, text: str) -> str:
        """Rules for the default root, rewritten for this test's root."""
        return text.replace("chefconsul/", f"{self.root}/")

    def connect(self, rules: str) -> ConsulClient:
        """A client whose token has only these rules."""
        return self.consul.connect(self.consul.create_token(self.rules(rules)), self.root)

    async def keys(self) -> dict[str, bytes]:
        """The keys below the root."""
        async with self.consul.connect(MANAGEMENT_TOKEN, self.root) as client:
            return {entry.key: entry.value for entry in (await client.tree(f"{self.root}/"))[1]}


@pytest.fixture
async def guarded(acl_consul, consul_root):
    """Tier web of environment demo at generation 1; its member web-1 has converged."""
    acl_consul.register("web-1", tier="web")
    async with acl_consul.connect(MANAGEMENT_TOKEN, consul_root) as client:
        await write(SharedView(client), "demo", {"web": make_change()})
        await client.kv.put(f"{consul_root}/demo/web/nodes/web-1", make_report(generation=1).to_json())
        yield Guarded(acl_consul, consul_root)
        await client.kv.delete(f"{consul_root}/", recurse=True)


@pytest.mark.parametrize("rules", [ORCHESTRATOR, NARROW], ids=["orchestrator", "narrow"])
async def test_policy_of_an_orchestrator(guarded, rules):
    """It is enough to read, watch and write."""
    async with guarded.connect(rules) as client:
        await client.check_token()
        view = SharedView(client)
        snapshot = await view.snapshot("demo", "web", WEB)
        assert snapshot.evidence["web-1"].report == make_report(generation=1)
        for selector in (WEB, ListedMembers(("web-1",)), MetaMembers("rack", "r1")):
            async with aclosing(view.watch("demo", "web", selector)) as watch:
                assert (await anext(watch)).desired == snapshot.desired
        decision = (await write(view, "demo", {"web": make_change(state="off")})).decisions["web"]
        assert isinstance(decision, Write)
        assert (await view.read("demo", "web")).desired == decision.desired


async def test_policy_of_an_orchestrator_is_no_more_than_needed(guarded):
    """It allows no write to other keys or to the catalog."""
    async with guarded.connect(ORCHESTRATOR) as client:
        for request in (
            client.kv.put(f"{guarded.root}-other/a", "1"),
            client.transact([Operation.set_key(f"{guarded.root}-other/a", b"1")]),
            client.catalog.register("web-9", "127.0.0.1"),
        ):
            with pytest.raises(AccessDenied, match="Permission denied"):
                await request


@pytest.mark.parametrize("token", [UNKNOWN_TOKEN, None])
async def test_unknown_token_is_refused_everywhere(guarded, token):
    """Neither an unknown token nor a missing one ever sees an empty tier."""
    before = await guarded.keys()
    async with guarded.consul.connect(token, guarded.root) as client:
        view = SharedView(client)
        for request in (
            view.read("demo", "web"),
            view.snapshot("demo", "web", WEB),
            read_members(client, WEB),
            read_members(client, ListedMembers(("web-1",))),
            read_members(client, MetaMembers("rack", "r1")),
            write(view, "demo", {"web": make_change(state="off")}),
            write(view, "demo", {"app": make_change()}),
        ):
            with pytest.raises(AccessDenied):
                await request
        async with aclosing(view.watch("demo", "web", WEB)) as watch:
            with pytest.raises(AccessDenied):
                await anext(watch)
    assert await guarded.keys() == before


@pytest.mark.parametrize(
    ("rules", "selector", "words"),
    [
        ('service_prefix "" { policy = "read" }', WEB, 'give its policy node_prefix "" read'),
        ('service_prefix "" { policy = "read" }', ListedMembers(("web-1",)), 'give its policy node_prefix "" read'),
        ('service_prefix "" { policy = "read" }', MetaMembers("rack", "r1"), 'give its policy node_prefix "" read'),
        (
            'node_prefix "" { policy = "read" }',
            WEB,
            'service_prefix "" read',
        ),
    ],
)
async def test_token_that_may_not_list_members(guarded, rules, selector, words):
    """Consul answers with an empty list; the error names the missing permission."""
    async with guarded.connect(f'{rules} key_prefix "chefconsul/" {{ policy = "read" }}') as client:
        with pytest.raises(AccessDenied, match=words):
            await read_members(client, selector)
        with pytest.raises(AccessDenied, match=words):
            await SharedView(client).snapshot("demo", "web", selector)


async def test_token_that_may_list_members_finds_none(guarded):
    """A tier that is really empty is an empty tier, not a refusal."""
    async with guarded.connect(CATALOG) as client:
        assert await read_members(client, ServiceMembers("nobody")) == {}
        assert await read_members(client, MetaMembers("rack", "nowhere")) == {}


async def test_token_that_may_not_read_the_history(guarded):
    """A watcher does not mistake this for an environment without declarations."""
    async with guarded.connect('key_prefix "chefconsul/demo/web/" { policy = "read" }') as client:
        view = SharedView(client)
        with pytest.raises(AccessDenied):
            await anext(watch_histories(view, "demo"))
        with pytest.raises(AccessDenied):
            await anext(watch_tiers(view, "demo", None, "service"))


async def test_token_that_may_read_a_part_of_the_environment(guarded):
    """A watcher of all tiers would miss some without noticing; a watcher of named tiers may proceed."""
    keys = "".join(f'key_prefix "chefconsul/demo/{each}/" {{ policy = "read" }} ' for each in ("_history/web", "web"))
    async with guarded.connect(CATALOG + keys) as client:
        view = SharedView(client)
        async with aclosing(watch_tiers(view, "demo", None, "service")) as watch:
            with pytest.raises(AccessDenied):
                await anext(watch)
        async with aclosing(watch_tiers(view, "demo", ["web"], "service")) as watch:
            assert list((await anext(watch)).snapshots) == ["web"]


@pytest.mark.parametrize(
    "keys",
    [
        "",
        'key_prefix "chefconsul/demo/web/nodes/" { policy = "read" }',
        'key_prefix "chefconsul/demo/app/" { policy = "write" }',
    ],
    ids=["none", "reports only", "another tier"],
)
async def test_token_that_may_not_read_the_desired_state(guarded, keys):
    """Consul leaves the key out of lists; that must not look like a tier without a desired state."""
    async with guarded.connect(CATALOG + keys) as client:
        for request in (SharedView(client).read("demo", "web"), SharedView(client).snapshot("demo", "web", WEB)):
            with pytest.raises(AccessDenied, match="demo/web/desired: 403 Permission denied"):
                await request


async def test_token_that_may_not_read_reports(guarded):
    """This must not look like a tier whose members have not reported."""
    async with guarded.connect(CATALOG + 'key "chefconsul/demo/web/desired" { policy = "read" }') as client:
        view = SharedView(client)
        with pytest.raises(AccessDenied, match="demo/web/nodes/web-1: 403 Permission denied"):
            await view.snapshot("demo", "web", WEB)
        async with aclosing(view.watch("demo", "web", WEB)) as watch:
            with pytest.raises(AccessDenied, match="demo/web/nodes/web-1: 403 Permission denied"):
                await anext(watch)


@pytest.mark.parametrize(
    "keys",
    [
        'key_prefix "chefconsul/" { policy = "read" }',
        'key_prefix "chefconsul/" { policy = "read" } key "chefconsul/demo/web/desired" { policy = "write" }',
        'key_prefix "chefconsul/" { policy = "read" } key_prefix "chefconsul/demo/_history/" { policy = "write" }',
    ],
    ids=["read only", "no history", "only history"],
)
async def test_token_that_may_not_write_changes_nothing(guarded, keys):
    """Consul refuses the whole write at once; the current state can still be read."""
    before = await guarded.keys()
    async with guarded.connect(CATALOG + keys) as client:
        with pytest.raises(AccessDenied, match="/v1/txn: 409 .*Permission denied.*check the connection's password"):
            await write(SharedView(client), "demo", {"web": make_change(state="off")})
        assert (await SharedView(client).read("demo", "web")).desired.generation == 1
    assert await guarded.keys() == before
