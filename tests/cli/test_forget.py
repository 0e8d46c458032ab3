"""`airflow chefconsul forget` removes a tier with all its keys, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.forget import find_tier, forget
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.exceptions import AccessDenied, ConsulUnavailable, EnvironmentLeased, WriteRefused
from tests.cli.test_lease import Terminal
from tests.support.acl_fixtures import MANAGEMENT_TOKEN
from tests.support.factory import make_desired, make_lease, make_report, make_ticket
from tests.support.peer import Answer, Peer, Request, forward_to

FORGET = ("forget", "demo", "web")


@pytest.fixture
def kept(consul_kv):
    """A tier with all kinds of keys, and its neighbours, which must stay."""
    consul_kv["demo/web/desired"] = make_desired(3).to_json()
    for number in (1, 2, 3):
        consul_kv[f"demo/_history/web/{number:012d}"] = make_desired(number).to_json()
    for node in ("web-1", "web-2"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node).to_json()
    consul_kv["demo/web/locks/migrate"] = ""
    consul_kv["demo/web/done/migrate/2.5.0"] = "{}"
    consul_kv["demo/web/_slots/web-1"] = make_ticket().to_json()
    consul_kv["demo/web/junk"] = "?"
    neighbours = {
        "demo/web-2/desired": make_desired().to_json(),
        "demo/_history/web-2/000000000007": make_desired().to_json(),
        "demo/_nodes/web-1": "{}",
        "stage/web/desired": make_desired().to_json(),
    }
    consul_kv.update(neighbours)
    return neighbours


def test_tier_is_removed_and_counted(airflow_chefconsul, consul_kv, kept):
    """By kind; the environment's other keys stay."""
    ended = airflow_chefconsul(*FORGET, "--yes")
    counts = "1 desired state, 2 reports, 1 lock, 1 mark of a task done, 1 ticket for a slot, 1 other key"
    counts += ", 3 generations of history"
    assert (ended.code, ended.out) == (0, f"demo/web: forgotten, removed {counts}\n")
    assert dict(consul_kv) == kept
    ended = airflow_chefconsul(*FORGET, "--yes")
    assert ended.code == 3
    assert "nothing is stored for demo/web; tiers of demo: web-2" in ended.err


def test_late_report_does_not_count_for_the_tier_that_is_declared_again(
    airflow_chefconsul, declare, consul_kv, members
):
    """Generation 1 recurs; a report that a node kept has the old id."""
    members("web-1")
    declare()
    old = json.loads(consul_kv["demo/web/desired"])["stable"]
    consul_kv["demo/web/nodes/web-1"] = late = make_report("web-1", generation=1, id=old["id"]).to_json()
    assert airflow_chefconsul("status", "demo", "web").code == 0
    assert airflow_chefconsul(*FORGET, "--yes").code == 0
    consul_kv["demo/web/nodes/web-1"] = late
    declare()
    new = json.loads(consul_kv["demo/web/desired"])["stable"]
    assert (old["generation"], new["generation"]) == (1, 1)
    ended = airflow_chefconsul("status", "demo", "web")
    assert ended.code == 3
    assert "old_generation" in ended.out


def test_json(airflow_chefconsul, consul_kv, kept):
    """The counts by kind."""
    assert airflow_chefconsul(*FORGET, "--yes", "-o", "json").json == {
        "environment": "demo", "tier": "web", "left": 0,
        "removed": {"desired": 1, "nodes": 2, "locks": 1, "done": 1, "slots": 1, "other": 1, "history": 3},
    }  # fmt: skip


def test_history_alone_is_a_tier_to_forget(airflow_chefconsul, consul_kv):
    """Someone deleted its other keys by hand."""
    consul_kv["demo/_history/web/000000000001"] = make_desired(1).to_json()
    ended = airflow_chefconsul(*FORGET, "--yes")
    assert ended.out == "demo/web: forgotten, removed 1 generation of history\n"
    assert not consul_kv


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 4), ("no", 4)])
def test_confirmation(airflow_chefconsul, consul_kv, kept, members, monkeypatch, answer, code):
    """The question names the members, whose next runs will fail; only yes is yes."""
    members("web-1", "web-2")
    members("web-3", check="critical")
    before = dict(consul_kv)
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    ended = airflow_chefconsul(*FORGET)
    assert ended.code == code
    assert (
        "It has 3 members, 2 of them present: web-1, web-2; their next runs will fail.\nForget it? [y/N]" in ended.err
    )
    assert (dict(consul_kv) == before) is (code == 4)


def test_nobody_to_ask(airflow_chefconsul, consul_kv, kept, monkeypatch):
    """A script must pass --yes."""
    before = dict(consul_kv)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    ended = airflow_chefconsul(*FORGET)
    assert ended.code == 2
    assert "forgetting a tier needs confirmation, but there is no terminal to ask on; pass --yes" in ended.err
    assert dict(consul_kv) == before


def test_lease_keeps_the_tier(airflow_chefconsul, consul_kv, kept):
    """The holder may be in the middle of a rollout."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    before = dict(consul_kv)
    ended = airflow_chefconsul(*FORGET, "--yes")
    assert ended.code == 4
    assert "demo/web: environment demo is held by Dag shop_rollout, run manual__1 since" in ended.err
    assert dict(consul_kv) == before


def forget_through(answer, root: str, patience: float = 10):
    """Forget demo/web through a peer; returns the counts and the peer's transactions."""

    async def run(port: int):
        async with ConsulClient(ConsulSettings("127.0.0.1", port, root=root)) as client:
            view = SharedView(client)
            return await forget(view, await find_tier(view, "demo", "web"), patience=timedelta(seconds=patience))

    with Peer(answer) as peer:
        removed = asyncio.run(run(peer.port))
        return removed, [request for request in peer.requests if request.path == "/v1/txn"]


def test_large_tier_goes_in_several_transactions(cluster, consul_root, consul_kv, kept):
    """Consul takes 64 operations each: the desired state goes first, the newest generation last."""
    for number in range(200):
        consul_kv[f"demo/web/nodes/more-{number}"] = "{}"
    forward, desired, newest = forward_to(cluster.http_port), [], []

    def answer(request: Request) -> Answer:
        found = forward(request)
        if request.path == "/v1/txn":
            desired.append("demo/web/desired" in consul_kv)
            newest.append("demo/_history/web/000000000003" in consul_kv)
        return found

    removed, transactions = forget_through(answer, consul_root)
    assert removed == {"desired": 1, "nodes": 202, "locks": 1, "done": 1, "slots": 1, "other": 1, "history": 3}
    assert (len(transactions), desired, newest) == (4, [False] * 4, [True, True, True, False])
    assert dict(consul_kv) == kept


@pytest.mark.parametrize(
    ("key", "document", "kind"),
    [
        ("demo/_lease", make_lease().to_json(), EnvironmentLeased),
        ("demo/web/desired", make_desired(4).to_json(), WriteRefused),
    ],
    ids=["leased", "declared"],
)
@pytest.mark.parametrize("transaction", [1, 2])
def test_concurrent_write_ends_it(cluster, consul_root, consul_kv, kept, key, document, kind, transaction):
    """Consul itself refuses; what was written since stays, and generations continue."""
    for number in range(70):
        consul_kv[f"demo/web/nodes/more-{number}"] = "{}"
    forward, seen = forward_to(cluster.http_port), []

    def answer(request: Request) -> Answer:
        if request.path == "/v1/txn":
            seen.append(request)
            if len(seen) == transaction:
                consul_kv[key] = document
        return forward(request)

    with pytest.raises(kind):
        forget_through(answer, consul_root)
    assert consul_kv[key] == document
    assert "demo/_history/web/000000000003" in consul_kv
    assert kept.items() <= dict(consul_kv).items()


@pytest.mark.parametrize("is_applied", [True, False], ids=["answer lost", "request lost"])
def test_lost_transaction(cluster, consul_root, consul_kv, kept, is_applied):
    """It is repeated once, and counted once."""
    forward, seen = forward_to(cluster.http_port), []

    def answer(request: Request) -> Answer | None:
        if request.path == "/v1/txn":
            seen.append(request)
            if len(seen) == 1:
                if is_applied:
                    assert forward(request).status == 200
                return None
        return forward(request)

    removed, _ = forget_through(answer, consul_root)
    assert sum(removed.values()) == 10
    assert dict(consul_kv) == kept


def test_consul_that_stays_away(cluster, consul_root, consul_kv, kept):
    """The error says so."""
    forward = forward_to(cluster.http_port)
    with pytest.raises(ConsulUnavailable):
        forget_through(lambda request: None if request.path == "/v1/txn" else forward(request), consul_root, patience=0)


def test_token_that_may_read_a_part(acl_consul, consul_root):
    """Keys that it may not see would stay behind, so nothing is removed."""
    acl_consul.put(f"kv/{consul_root}/demo/web/desired", {})
    rules = f'key_prefix "{consul_root}/demo/web/" {{ policy = "write" }}'

    async def run():
        async with acl_consul.connect(acl_consul.create_token(rules), consul_root) as client:
            await find_tier(SharedView(client), "demo", "web")

    async def clean_up():
        async with acl_consul.connect(MANAGEMENT_TOKEN, consul_root) as client:
            _, left = await client.names(f"{consul_root}/")
            await client.kv.delete(f"{consul_root}/", recurse=True)
            return left

    with pytest.raises(AccessDenied):
        asyncio.run(run())
    assert len(asyncio.run(clean_up())) == 1
