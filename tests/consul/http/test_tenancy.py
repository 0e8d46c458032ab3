"""Namespaces and partitions of Consul Enterprise: what is sent, and what a Consul without them makes of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.catalog import check_can_list
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.plain import plain_client
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.token_scope import check_token_sees_all
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.exceptions import AccessDenied, ConsulUnavailable, RequestRejected
from tests.support.peer import Answer, Peer

TENANCIES = [{"namespace": "team"}, {"partition": "eu"}, {"namespace": "team", "partition": "eu"}]


def connect(port: int, **overrides: str) -> ConsulClient:
    """A client that does not wait for a Consul that is away."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, **overrides), retry_for=timedelta(0))


def answer(request):
    """Answer as Consul Enterprise."""
    match request.method, request.path:
        case _, "/v1/namespaces" | "/v1/partitions":
            return Answer(403, "Permission denied")  # what a token for one namespace gets
        case "PUT", "/v1/txn":
            return Answer(200, '{"Results": [], "Errors": null}')
        case "PUT", "/v1/session/create":
            return Answer(200, '{"ID": "5e55"}')
        case "PUT", "/v1/kv/a":
            return Answer(200, "true")
        case "GET", path if path.startswith("/v1/kv/"):
            return Answer(404, "")
        case _:
            return Answer(200, "[]")


def sent(request) -> dict[str, str]:
    """The namespace and the partition of a request."""
    found = {name.lower(): value for name, value in request.headers.items()}
    return {name: found[f"x-consul-{name}"] for name in ("namespace", "partition") if f"x-consul-{name}" in found}


@pytest.mark.parametrize("tenancy", [{}, *TENANCIES])
async def test_every_request_carries_them(tenancy):
    """Reads, waits, writes, lists and sessions, and the question whether Consul has any; none where none are set."""
    with Peer(answer) as peer:
        async with connect(peer.port, **tenancy) as client:
            await client.get("a")
            await client.look("a", index=1, wait=timedelta(seconds=1))
            await client.put("a", "1", modify_index=0)
            await client.tree("a/")
            await client.read("/v1/catalog/nodes")
            await client.session.create("lock")
            await client.transact([Operation.set_key("a", "1")])
        paths = [request.path for request in peer.requests]
        assert [sent(request) for request in peer.requests] == [tenancy] * len(paths)
    question = "/v1/partitions" if "partition" in tenancy else "/v1/namespaces"
    assert paths == [
        *([question] if tenancy else []),
        *["/v1/kv/a"] * 3, "/v1/kv/a/", "/v1/catalog/nodes", "/v1/session/create", "/v1/txn",
    ]  # fmt: skip


async def test_operations_of_a_transaction_carry_them():
    """Consul takes them from there, not from the headers; nodes have no namespace."""
    with Peer(answer) as peer:
        async with connect(peer.port, namespace="team", partition="eu") as client:
            await client.transact(
                [
                    Operation.check_absent("a"),
                    Operation.set_node("web-1", "127.0.0.1", {}),
                    Operation.set_service("web-1", "web"),
                    Operation.set_check("web-1", "up", "Up", "passing"),
                ]
            )
            await client.trees(["a/", "b/"])
        written, read = (json.loads(request.body) for request in peer.requests[-2:])
    both = {"Namespace": "team", "Partition": "eu"}
    key, node, service, check = written
    assert key == {"KV": {"Verb": "check-not-exists", "Key": "a", **both}}
    assert node["Node"] == {
        "Verb": "set",
        "Node": {"Node": "web-1", "Address": "127.0.0.1", "Meta": {}, "Partition": "eu"},
    }
    assert service["Service"]["Service"] == {"ID": "web", "Service": "web", **both}
    assert check["Check"]["Check"].items() >= both.items()
    assert [operation["KV"].items() >= both.items() for operation in read] == [True, True]


def test_plain_client_carries_them():
    """What a Dag author's own code asks is asked there, too."""
    with Peer(lambda _: Answer(200, "[]")) as peer:
        plain_client(ConsulSettings("127.0.0.1", peer.port, namespace="team", partition="eu")).kv.get("a")
    assert sent(peer.requests[0]) == {"namespace": "team", "partition": "eu"}


@pytest.mark.parametrize("tenancy", TENANCIES)
async def test_consul_without_them_is_refused(cluster, consul_kv, consul_root, tenancy):
    """It would ignore them in transactions, and 1.8 a partition everywhere: keys would go where all others are."""
    field = "partition" if "partition" in tenancy else "namespace"
    words = (
        f"http://127.0.0.1:{cluster.http_port}: this Consul has no {field}s, .* leave the connection's {field} empty"
    )
    async with connect(cluster.http_port, **tenancy) as client:
        for request in (
            client.transact([Operation.set_key(f"{consul_root}/a", "1")]),
            client.trees([f"{consul_root}/a/", f"{consul_root}/b/"]),
            client.get(f"{consul_root}/a"),
            client.look(f"{consul_root}/a", index=1),
        ):
            with pytest.raises(RequestRejected, match=words):
                await request
    assert list(consul_kv) == []


async def test_outage_is_no_lack_of_them():
    """Consul is asked again once it answers."""
    answers = [Answer(500, "No cluster leader"), Answer(404, "")]
    with Peer(lambda request: answers.pop(0) if request.path == "/v1/namespaces" else Answer(500, "away")) as peer:
        async with connect(peer.port, namespace="team") as client:
            with pytest.raises(ConsulUnavailable, match="away"):
                await client.get("a")
            with pytest.raises(RequestRejected, match="no namespaces"):
                await client.get("a")


@pytest.mark.parametrize(
    ("tenancy", "nodes_may_be_none", "services_may_be_none"),
    [
        ({}, False, False),
        ({"namespace": "default", "partition": "default"}, False, False),
        ({"namespace": "team"}, False, True),
        ({"partition": "eu"}, True, True),
    ],
)
async def test_empty_list_is_no_missing_right_where_the_servers_are_not(
    tenancy, nodes_may_be_none, services_may_be_none
):
    """Servers and their service "consul" are in the default partition and namespace."""
    with Peer(lambda _: Answer(200, "{}")) as services, Peer(answer) as nodes:
        for kind, peer, may_be_none in (
            ("node", nodes, nodes_may_be_none),
            ("service", services, services_may_be_none),
        ):
            async with connect(peer.port, **tenancy) as client:
                if may_be_none:
                    await check_can_list(client, kind)
                else:
                    with pytest.raises(AccessDenied, match=f"may read no {kind}"):
                        await check_can_list(client, kind)


async def test_rights_are_not_asked_where_the_question_cannot_name_the_namespace():
    """Its answer would be that of another one; the lists themselves say what they leave out."""
    version = Answer(200, '{"HumanVersion": "1.18.0+ent"}')
    with Peer(lambda request: version if request.path == "/v1/agent/version" else answer(request)) as peer:
        async with connect(peer.port, namespace="team", token="5ec2e7") as client:
            await check_token_sees_all(SharedView(client), "a/")
        paths = {request.path for request in peer.requests}
    assert "/v1/agent/version" in paths
    assert "/v1/internal/acl/authorize" not in paths
