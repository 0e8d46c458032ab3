"""Errors, retries, tokens and TLS, with the real Consul and with peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from datetime import timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_chefconsul.consul.catalog import read_addresses, read_members
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.trouble import status_error
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, MetaMembers, ServiceMembers
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ConsulError,
    ConsulUnavailable,
    InvalidInput,
    NoLeader,
    RequestRejected,
    RequestTooLarge,
    TLSFailed,
    TransactionConflict,
)
from tests.support.factory import make_change
from tests.support.peer import Answer, Peer, forward_to

LEADER = Answer(200, '"10.0.0.1:8300"')


def connect(port: int, *, retry_for: float = 10, **settings: Any) -> ConsulClient:
    """A client for whatever listens on this loopback port."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, **settings), retry_for=timedelta(seconds=retry_for))


def answering(*answers: Answer | None) -> Peer:
    """A peer that gives these answers, repeating the last one."""
    left = list(answers)
    return Peer(lambda _: left.pop(0) if len(left) > 1 else left[0])


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "Invalid index", RequestRejected),
        (401, "ACL support disabled", AccessDenied),
        (403, "Permission denied", AccessDenied),
        (403, "rpc error making call: ACL not found", AccessDenied),
        (405, "method PATCH not allowed", RequestRejected),
        (409, '{"Errors":[{"OpIndex":0,"What":"failed to set key, index is stale"}]}', TransactionConflict),
        (409, '{"Errors":[{"OpIndex":0,"What":"Permission denied"}]}', AccessDenied),
        (413, "Request body(540000 bytes) too large", RequestTooLarge),
        (429, "Your IP is issuing too many concurrent connections", ConsulUnavailable),
        (500, "No cluster leader", NoLeader),
        (500, "rpc error making call: No cluster leader", NoLeader),
        (500, "No known Consul servers", NoLeader),
        (500, "leadership lost while committing log", NoLeader),
        (500, "raft is not leader", NoLeader),
        (500, "rpc error making call: EOF", ConsulUnavailable),
        (502, "<html>Bad Gateway</html>", ConsulUnavailable),
        (503, "", ConsulUnavailable),
    ],
)
def test_error_of_a_status(status, body, kind):
    """Each status has its error, with the address and Consul's reason."""
    error = status_error(status, body, "http://127.0.0.1:8500/v1/kv/a")
    assert type(error) is kind
    assert str(error).startswith(f"http://127.0.0.1:8500/v1/kv/a: {status} {body}")


@pytest.mark.parametrize(
    ("denied", "sent", "words"),
    [
        ([1], [Operation.delete("a"), Operation.delete("b")], "token for b;"),
        ([0, 1, 2, 3], [Operation.delete(key) for key in "abcd"], "token for a, b, c, … and 1 more;"),
        ([0], [Operation.delete_node("web-1")], "token for this;"),
        ([7], [Operation.delete("a")], "token for this;"),
    ],
    ids=["one", "many", "no key", "out of range"],
)
def test_denied_transaction_names_its_keys(denied, sent, words):
    """Consul's answer only counts the operations; another's is no reason to fail."""
    body = json.dumps({"Errors": [{"OpIndex": index, "What": "Permission denied"} for index in denied]})
    document = json.dumps([operation.to_fields() for operation in sent])
    assert words in str(status_error(409, body, "http://127.0.0.1:8500/v1/txn", sent=document))
    assert "token for this;" in str(status_error(409, "Permission denied", "http://127.0.0.1:8500/v1/txn", sent="[]"))


def test_long_answer_is_cut():
    """An error page does not fill the log."""
    assert len(str(status_error(502, "<p>\n" * 10_000, "here"))) < 600


async def test_statuses_are_mapped_on_the_way():
    """A refused request raises our own error at any endpoint, without a retry."""
    with answering(Answer(403, "Permission denied")) as peer:
        async with connect(peer.port) as client:
            for request in (client.get("a"), client.leader(), client.kv.put("a", "1"), client.transact([])):
                with pytest.raises(AccessDenied, match=f"http://127.0.0.1:{peer.port}/v1/.*: 403 Permission denied"):
                    await request
    assert len(peer.requests) == 4


# Answers that do not come ---------------------------------------------------------------------------------------------


async def test_nobody_listens(free_port):
    """The error names the address; a retry may succeed."""
    async with connect(free_port, retry_for=0) as client:
        with pytest.raises(ConsulUnavailable, match=f"http://127.0.0.1:{free_port} cannot be reached: "):
            await client.get("a")


async def test_connection_closed_without_an_answer():
    """The outcome is unknown, for a read and for a write."""
    with answering(None) as peer:
        async with connect(peer.port, retry_for=0) as client:
            for request in (client.get("a"), client.kv.put("a", "1")):
                with pytest.raises(ConsulUnavailable, match="disconnected without sending a response"):
                    await request


@pytest.mark.parametrize(
    "answer", [Answer(200, "It works!"), Answer(200, b"\xff\xfe"), Answer(301, "moved"), Answer(404, "nothing here")]
)
async def test_server_that_is_not_consul(answer):
    """A retry would not turn a web server into a Consul."""
    with answering(answer) as peer:
        async with connect(peer.port) as client:
            for request in (client.leader(), client.read("/v1/catalog/nodes"), client.local_datacenter()):
                with pytest.raises(RequestRejected, match="this does not answer like Consul"):
                    await request
    assert len(peer.requests) == 3


async def test_not_found_without_an_index_is_not_a_missing_key():
    """Only Consul can say that a key is missing."""
    with answering(Answer(404, "<html>", headers={})) as peer:
        async with connect(peer.port) as client:
            for request in (client.get("a"), client.tree("a/"), client.names("a/")):
                with pytest.raises(RequestRejected, match="this does not answer like Consul"):
                    await request


NOT_CONSULS = [
    "{}",
    '{"error": "log in first"}',
    "[{}]",
    '[{"Node": 5}]',
    "[1]",
    "5",
    "true",
    '[{"Key": "a"}]',
    '["a"]',
    "[" * 100_000,
    '{"a":' * 100_000,
]


@pytest.mark.parametrize("body", NOT_CONSULS, ids=lambda body: body[:20])
async def test_json_that_is_not_consuls(body):
    """A proxy that answers with its own JSON causes one of our errors, and never counts as a completed write."""
    with answering(Answer(200, body)) as peer:
        async with connect(peer.port) as client:
            requests = [
                client.look("a"),
                client.tree("a/"),
                client.trees(["a/", "b/"]),
                client.put("a", "1", modify_index=0),
                client.delete("a", modify_index=1),
                client.transact([Operation.set_key("a", b"1")]),
                client.leader(),
                client.local_datacenter(),
                read_addresses(client),
                *(
                    read_members(client, each)
                    for each in (ServiceMembers("web"), MetaMembers("rack", "r1"), ListedMembers(("web-1",)))
                ),
            ]
            accepted = [each.__qualname__ for each in requests if not await _is_rejected(each)]
    # What has the form of an answer to one of them is taken for one.
    expected = {
        "true": {"ConsulClient.put", "ConsulClient.delete"},
        '["a"]': {"ConsulClient.local_datacenter"},
    }
    assert set(accepted) <= expected.get(body, set())


async def _is_rejected(request: Any) -> bool:
    try:
        await request
    except RequestRejected as error:
        assert "this does not answer like Consul" in str(error)
        return True
    return False


@pytest.mark.parametrize("index", ["", "many", "-1", "1" * 5000])
async def test_index_that_is_no_number(index):
    """It would raise a Python error in the next blocking query."""
    with answering(Answer(200, "[]", headers={"X-Consul-Index": index})) as peer:
        async with connect(peer.port) as client:
            for request in (client.get("a"), client.tree("a/"), client.read("/v1/catalog/nodes")):
                with pytest.raises(RequestRejected, match="its index is not a number: "):
                    await request


# Answers and requests without end -------------------------------------------------------------------------------------


async def test_answer_that_trickles(monkeypatch):
    """An answer that comes byte by byte does not hold up a reader forever."""
    monkeypatch.setattr("airflow_provider_chefconsul.consul.http.transport._READ_TIMEOUT", 0.2)
    monkeypatch.setattr("airflow_provider_chefconsul.consul.http.transport._TIME_TO_READ", 0.1)
    has_gone = asyncio.Event()

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\nContent-Length: 1000000\r\n\r\n[")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        has_gone.set()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(port, retry_for=0) as client:
            with pytest.raises(ConsulUnavailable, match="/v1/kv/a: the answer took longer than 0.3 s"):
                await client.get("a")
            await has_gone.wait()


async def test_answer_that_is_too_large(monkeypatch):
    """It is neither kept in memory nor requested again."""
    monkeypatch.setattr("airflow_provider_chefconsul.consul.http.transport._LARGEST_ANSWER", 2 << 20)
    with answering(Answer(200, b"[" + b" " * (3 << 20) + b"]")) as peer:
        async with connect(peer.port) as client:
            with pytest.raises(RequestRejected, match="/v1/kv/a: the answer is larger than 2 MiB"):
                await client.get("a")
    assert len(peer.requests) == 1


async def test_request_that_is_cut_off_for_its_size():
    """Consul resets the connection of a far too large body before its 413 is read: this is no outage."""

    def cut_off(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        cutting = asyncio.create_task(asyncio.to_thread(cut_off, listener))
        async with connect(listener.getsockname()[1]) as client:
            with pytest.raises(
                RequestTooLarge, match="cut while sending 2000000 bytes .*: by default Consul accepts at most 512 KiB"
            ):
                await client.put("a", "x" * 2_000_000, modify_index=0)
        await cutting


async def test_values_that_are_too_large(cluster, consul_root, consul_kv):
    """The real Consul refuses two megabytes at once, without a minute of retries."""
    async with connect(cluster.http_port, root=consul_root) as client:
        for _ in range(5):
            with pytest.raises(RequestTooLarge, match="demo/web: too many tiers or values"):
                await write(SharedView(client), "demo", {"web": make_change(values={"blob": "x" * 2_000_000})})
    assert not consul_kv


# Trying again ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [Answer(500, "rpc error making call: EOF"), Answer(500, "No cluster leader"), Answer(429, "slow"), None]
)
async def test_reads_are_repeated(trouble):
    """Two failures and then an answer make a success."""
    with answering(trouble, trouble, LEADER) as peer:
        async with connect(peer.port, retry_for=60) as client:
            assert await client.leader() == "10.0.0.1:8300"
    assert len(peer.requests) == 3


async def test_outage_is_logged_once(caplog):
    """After some attempts, not after each, so that a task's log explains the wait."""
    with answering(*[Answer(500, "rpc error")] * 6, LEADER) as peer:
        async with connect(peer.port, retry_for=60) as client:
            assert await client.leader() == "10.0.0.1:8300"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"http://127.0.0.1:{peer.port}/v1/status/leader: 500 rpc error; trying again for up to 60 s"
    ]


async def test_reads_are_given_up():
    """When the time for retries is over, the last problem is raised."""
    with answering(Answer(500, "first"), Answer(500, "No cluster leader")) as peer:
        async with connect(peer.port, retry_for=0.2) as client:
            with pytest.raises(NoLeader, match="list-peers"):
                await client.get("a")
    assert len(peer.requests) > 1


@pytest.mark.parametrize("trouble", [Answer(500, "rpc error making call: EOF"), Answer(429, "slow"), None])
async def test_writes_are_sent_once(trouble):
    """The outcome of a write whose answer is lost is unknown: the caller must check first."""
    with answering(trouble) as peer:
        async with connect(peer.port) as client:
            write = Operation.set_key("a", b"1")
            for request in (client.kv.put("a", "1"), client.kv.delete("a"), client.transact([write])):
                with pytest.raises(ConsulUnavailable):
                    await request
    assert [request.method for request in peer.requests] == ["PUT", "DELETE", "PUT"]


async def test_blocking_query_is_waited_for():
    """An answer that Consul holds back for the requested time is not mistaken for silence."""
    with answering(Answer(200, "[]")) as peer:
        async with connect(peer.port) as client:
            await client.names("a/", index=7)
    assert peer.requests[0].query == {"index": ["7"], "wait": ["55.000s"], "keys": ["True"]}


# Tokens and proxies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["5ec2e7-of-the-connection", None])
async def test_every_request_carries_the_connections_token(monkeypatch, token):
    """Even if py-consul sends none; in a header, never in the URL; CONSUL_HTTP_TOKEN does not replace it."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "5ec2e7-of-the-environment")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://127.0.0.1:1")
    with answering(Answer(200, "[]")) as peer:
        async with connect(peer.port, token=token) as client:
            await client.get("a")
            await client.read("/v1/catalog/nodes")
            for write in (client.kv.put("a", "1"), client.kv.delete("a"), client.transact([])):
                with contextlib.suppress(RequestRejected):  # "[]" is no answer to these
                    await write
            await client.event.list()
            await client.catalog.register("web-1", "10.0.0.2")
    assert [request.headers.get("X-Consul-Token") for request in peer.requests] == [token] * 7
    assert not any("5ec2e7" in request.target for request in peer.requests)


def test_token_is_not_shown():
    """Settings may end up in logs and tracebacks."""
    assert "5ec2e7" not in repr(ConsulSettings("127.0.0.1", 8500, token="5ec2e7"))


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_ignored(monkeypatch, cluster, free_port, name):
    """They are not meant for a Consul on this machine."""
    for no_proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(no_proxy, raising=False)
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    async with connect(cluster.http_port, retry_for=0) as client:
        assert await client.leader()


def test_address_of_an_ipv6_host():
    """An address with colons gets brackets."""
    assert ConsulSettings("::1", 8500).url == "http://[::1]:8500"


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["ca", False])
async def test_tls(cluster, certificates, verify):
    """With a private authority, and without verification."""
    verify = certificates.path("ca.pem") if verify == "ca" else verify
    with Peer(forward_to(cluster.http_port), tls=certificates.server_context()) as peer:
        async with connect(peer.port, scheme="https", verify=verify) as client:
            assert await client.leader()


async def test_tls_with_a_client_certificate(cluster, certificates):
    """A server that requires one gets the connection's certificate."""
    ours = {"cert": certificates.path("client.pem"), "key": certificates.path("client.key")}
    with Peer(forward_to(cluster.http_port), tls=certificates.server_context(needs_client=True)) as peer:
        async with connect(peer.port, scheme="https", verify=certificates.path("ca.pem"), **ours) as client:
            assert await client.leader()
        async with connect(peer.port, scheme="https", verify=certificates.path("ca.pem")) as client:
            with pytest.raises(TLSFailed, match="certificate required.*check the connection's schema, verify, cert"):
                await client.leader()


async def test_certificate_of_an_unknown_authority(certificates):
    """Verification is the default; the handshake is not retried."""
    with Peer(lambda _: LEADER, tls=certificates.server_context()) as peer:
        async with connect(peer.port, scheme="https") as client:
            with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED.*check the connection's schema, verify"):
                await client.leader()
    assert peer.requests == []


async def test_tls_to_a_plain_port(cluster):
    """The schema is wrong, and the error says where to set it."""
    async with connect(cluster.http_port, scheme="https") as client:
        with pytest.raises(TLSFailed, match="check the connection's schema"):
            await client.leader()


@pytest.mark.parametrize(
    "files",
    [
        {"verify": "server.key"},
        {"verify": "."},
        {"cert": "client.pem"},
        {"cert": "client.pem", "key": "server.key"},
        {"cert": "client.key", "key": "client.pem"},
    ],
)
def test_tls_files_that_cannot_be_used(certificates, files):
    """The error names them before anything is sent."""
    paths = {name: certificates.path(file) for name, file in files.items()}
    with pytest.raises(InvalidInput, match="the connection's TLS files cannot be used") as caught:
        connect(8501, scheme="https", **paths)
    assert all(repr(path) in str(caught.value) for path in paths.values())


# The whole tree -------------------------------------------------------------------------------------------------------


def _errors_of_httpx() -> list[type[httpx.HTTPError]]:
    found, left = [], [httpx.HTTPError]
    while left:
        kind = left.pop()
        found.append(kind)
        left += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", _errors_of_httpx(), ids=lambda kind: kind.__name__)
async def test_every_error_of_httpx_is_mapped(kind):
    """None of them leaves the package; the cause is kept."""

    def fail(request: httpx.Request) -> httpx.Response:
        error = kind.__new__(kind, "made up")
        httpx.HTTPError.__init__(error, "made up")
        raise error

    async with connect(8500, retry_for=0) as client:
        pool = client.http._use.pool
        await pool.short.aclose()
        pool.short = httpx.AsyncClient(transport=httpx.MockTransport(fail))
        with pytest.raises(ConsulError, match="cannot be reached: made up") as caught:
            await client.leader()
    assert isinstance(caught.value, ConsulUnavailable)
    assert isinstance(caught.value.__cause__, kind)


async def test_peer_that_goes_away_in_the_handshake_is_no_tls_mistake():
    """A restarting agent or balancer cuts handshakes; advice to check certificates would mislead."""

    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.recv(1)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        settings = ConsulSettings("127.0.0.1", listener.getsockname()[1], scheme="https", verify=False)
        hung_up = asyncio.create_task(asyncio.to_thread(hang_up, listener))
        async with ConsulClient(settings, retry_for=timedelta(0)) as client:
            with pytest.raises(ConsulUnavailable):
                await client.get("key")
        await hung_up
