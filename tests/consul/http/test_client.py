"""The client with a real Consul."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.http.blocking import next_index
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.plain import plain_client
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    NoLeader,
    RequestRejected,
    RequestTooLarge,
    TransactionConflict,
)
from tests.support.acl_fixtures import MANAGEMENT_TOKEN, UNKNOWN_TOKEN
from tests.support.peer import Answer, Peer

SHORT = timedelta(milliseconds=100)
PATIENCE = 20  # seconds that a query may take to wake, on however slow a machine


@pytest.fixture
async def client(cluster):
    """A client of the shared Consul."""
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        yield client


@pytest.mark.parametrize(
    ("index", "found", "expected"), [(0, "7", 7), (7, "7", 7), (7, "12", 12), (9, "10", 10), (7, "6", 0), (0, "0", 1)]
)
def test_next_index(index, found, expected):
    """Indexes are numbers; one that decreases starts over, and 0 would not block."""
    assert next_index(index, found) == expected


# Keys -----------------------------------------------------------------------------------------------------------------


async def test_one_key(client, consul_kv, consul_root):
    """A key has a value, which may be empty; a missing key is None."""
    consul_kv["a"] = "ä"
    consul_kv["empty"] = ""
    entry = await client.get(f"{consul_root}/a")
    assert entry == Entry(f"{consul_root}/a", "ä".encode(), entry.modify_index)
    assert entry.modify_index > 0
    assert (await client.get(f"{consul_root}/empty")).value == b""
    assert await client.get(f"{consul_root}/b") is None


async def test_tree_and_names(client, consul_kv, consul_root):
    """All keys below a prefix, with or without values; a prefix without keys is empty."""
    consul_kv["a/1"] = "one"
    consul_kv["a/2/x"] = "two"
    consul_kv["b/1"] = "other"
    index, entries = await client.tree(f"{consul_root}/a/")
    assert {entry.key: entry.value for entry in entries} == {
        f"{consul_root}/a/1": b"one",
        f"{consul_root}/a/2/x": b"two",
    }
    assert index == max(entry.modify_index for entry in entries)
    assert await client.names(f"{consul_root}/a/") == (index, [f"{consul_root}/a/1", f"{consul_root}/a/2/x"])
    assert (await client.tree(f"{consul_root}/c/"))[1] == []
    assert (await client.names(f"{consul_root}/c/"))[1] == []


async def test_blocking_query_wakes_for_its_prefix(client, consul_kv, consul_root):
    """A change below the prefix ends it; a change elsewhere does not."""
    consul_kv["a/1"] = "one"
    index, _ = await client.names(f"{consul_root}/a/")
    blocked = asyncio.create_task(client.names(f"{consul_root}/a/", index=index))
    consul_kv["b/1"] = "other"
    await asyncio.wait({blocked}, timeout=0.3)
    assert not blocked.done()
    consul_kv["a/2"] = "two"
    async with asyncio.timeout(PATIENCE):
        woken_index, found = await blocked
    assert woken_index > index
    assert len(found) == 2


async def test_blocking_query_ends_with_its_wait(client, consul_kv, consul_root):
    """If nothing changed, it returns the same index to continue with."""
    consul_kv["a/1"] = "one"
    index, found = await client.names(f"{consul_root}/a/")
    assert await client.names(f"{consul_root}/a/", index=index, wait=SHORT) == (index, found)


async def test_index_ahead_of_the_server_is_given_up(client, consul_kv, consul_root):
    """After a restore, Consul's index may be lower than the last one seen; the next query must not block."""
    consul_kv["a/1"] = "one"
    index, found = await client.names(f"{consul_root}/a/", index=10**9, wait=SHORT)
    assert index == 0
    assert len(found) == 1


# Transactions ---------------------------------------------------------------------------------------------------------


def write(key: str, value: bytes = b"new", index: int | None = None) -> Operation:
    """An operation that sets a key, or check-and-sets it if given an index."""
    return Operation.set_key(key, value) if index is None else Operation.check_and_set(key, value, index)


async def test_transaction(client, consul_kv, consul_root):
    """Several operations at once; a check-and-set with index 0 creates a key, and a value may be any bytes."""
    consul_kv["old"] = "old"
    old = await client.get(f"{consul_root}/old")
    await client.transact(
        [
            write(f"{consul_root}/new", b"\x00\xff", index=0),
            write(f"{consul_root}/old", index=old.modify_index),
            Operation.delete(f"{consul_root}/gone"),
        ]
    )
    assert (await client.get(f"{consul_root}/new")).value == b"\x00\xff"
    assert consul_kv["old"] == "new"


@pytest.mark.parametrize("index", [0, 1])
async def test_conflict_applies_nothing(client, consul_kv, consul_root, index):
    """If one check fails, no operation is applied."""
    consul_kv["a"] = "old"
    with pytest.raises(TransactionConflict, match="index is stale"):
        await client.transact([write(f"{consul_root}/b"), write(f"{consul_root}/a", index=index)])
    assert dict(consul_kv) == {"a": "old"}


@pytest.mark.parametrize(
    "operations",
    [[write("chefconsul-too-large", b"x" * 524_289)], [write("chefconsul-too-large") for _ in range(129)]],
    ids=["bytes", "operations"],
)
async def test_too_large_for_consul(client, operations):
    """More bytes or operations than Consul accepts change nothing."""
    with pytest.raises(RequestTooLarge, match="Consul accepts at most 512 KiB"):
        await client.transact(operations)
    assert await client.get("chefconsul-too-large") is None


async def test_datacenter_applies_to_reads_and_writes(cluster, consul_kv, consul_root):
    """Nothing goes to the local datacenter if the connection names another."""
    settings = ConsulSettings("127.0.0.1", cluster.http_port, datacenter="dc9")
    async with ConsulClient(settings, retry_for=timedelta(0)) as client:
        for request in (
            client.get(f"{consul_root}/a"),
            client.tree(f"{consul_root}/"),
            client.read("/v1/catalog/nodes"),
            client.transact([write(f"{consul_root}/a")]),
        ):
            with pytest.raises(RequestRejected, match="no datacenter 'dc9'; did you mean 'dc1': check"):
                await request
        assert await client.local_datacenter() == "dc9"
    assert dict(consul_kv) == {}


# Consul itself --------------------------------------------------------------------------------------------------------


async def test_leader_and_datacenter(client, cluster):
    """As a healthy Consul reports them."""
    assert await client.leader() == f"127.0.0.1:{cluster.server.server_port}"
    assert await client.local_datacenter() == "dc1"


async def test_no_leader():
    """Servers without a leader still answer this question."""
    with Peer(lambda _: Answer(200, '""')) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port)) as client:
            with pytest.raises(NoLeader, match=f"http://127.0.0.1:{peer.port}: Consul's servers have no leader"):
                await client.leader()


async def test_token_is_known(acl_consul, client):
    """A known token passes; so does no token, and any token if Consul has no ACLs."""
    async with acl_consul.connect(MANAGEMENT_TOKEN, "a") as known:
        await known.check_token()
    async with acl_consul.connect(None, "a") as anonymous:
        await anonymous.check_token()
    async with ConsulClient(ConsulSettings("127.0.0.1", client.settings.port, token=UNKNOWN_TOKEN)) as unguarded:
        await unguarded.check_token()


async def test_token_is_unknown(acl_consul):
    """Consul reports it at once."""
    async with acl_consul.connect(UNKNOWN_TOKEN, "a") as client:
        with pytest.raises(AccessDenied, match="Consul refuses the ACL token.*check the connection's password"):
            await client.check_token()


async def test_token_is_unknown_to_a_newer_consul():
    """From 1.15 on, Consul says so with a status that it has for missing keys, too."""
    with Peer(lambda _: Answer(404, "Supplied token does not exist")) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, token=UNKNOWN_TOKEN)) as client:
            with pytest.raises(
                AccessDenied, match="does not exist: Consul refuses the ACL token; check the .*password"
            ):
                await client.check_token()


async def test_other_404_is_no_unknown_token():
    """Something else answers there."""
    with Peer(lambda _: Answer(404, "not found")) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, token=UNKNOWN_TOKEN)) as client:
            with pytest.raises(RequestRejected, match="does not answer like Consul"):
                await client.check_token()


@pytest.mark.parametrize(
    ("path", "rights"),
    [
        ("/v1/catalog/nodes", 'node_prefix "" read$'),
        ("/v1/catalog/service/web", 'node_prefix "" read and service_prefix "" read$'),
        ("/v1/kv/a/", "key_prefix read for all of it$"),
    ],
)
async def test_list_filtered_by_acls_is_refused(path, rights):
    """Newer versions of Consul report that they left out what the token may not read; the error says what it lacks."""
    headers = {"X-Consul-Index": "7", "X-Consul-Results-Filtered-By-ACLs": "true"}
    with Peer(lambda _: Answer(200, "[]", headers)) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port)) as client:
            with pytest.raises(
                AccessDenied, match=f"{path}: the ACL token may read only part .*; give its policy {rights}"
            ):
                await client.read(path)


# py-consul's own client -----------------------------------------------------------------------------------------------


def test_plain_client_writes_and_reads(cluster, consul_kv, consul_root):
    """It works as py-consul's documentation says."""
    client = plain_client(ConsulSettings("127.0.0.1", cluster.http_port))
    assert client.kv.put(f"{consul_root}/a", "1")
    assert consul_kv["a"] == "1"


@pytest.mark.parametrize(("token", "sent"), [("5ec2e7-ours", "5ec2e7-ours"), (None, "5ec2e7-environment")])
def test_plain_client_prefers_the_connections_token(monkeypatch, token, sent):
    """CONSUL_HTTP_TOKEN applies only to a connection without a token."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "5ec2e7-environment")
    with Peer(lambda _: Answer(200, "[]")) as peer:
        plain_client(ConsulSettings("127.0.0.1", peer.port, token=token)).kv.get("a")
    assert peer.requests[0].headers["X-Consul-Token"] == sent


def test_plain_client_of_an_ipv6_host():
    """An address with colons gets brackets."""
    assert plain_client(ConsulSettings("::1", 8500)).http.uri("/v1/kv/a") == "http://[::1]:8500/v1/kv/a"
