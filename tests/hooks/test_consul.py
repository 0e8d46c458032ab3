"""ConsulHook: reading connections, and saying what is wrong with one."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta

import pytest
from airflow.sdk import Connection

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.exceptions import AccessDenied, InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook, parse_settings
from tests.support.acl_fixtures import MANAGEMENT_TOKEN, UNKNOWN_TOKEN
from tests.support.airflow_home import connect
from tests.support.factory import make_change
from tests.support.peer import Answer, Peer, forward_to


def make_connection(*, extra: object = None, **overrides: object) -> Connection:
    """A connection to Consul on this machine; its extra is a mapping, or the text as it stands."""
    text = extra if isinstance(extra, str) or extra is None else json.dumps(extra)
    fields = {"conn_id": "shop", "conn_type": "consul", "host": "127.0.0.1", "port": 8500, "extra": text}
    return Connection(**fields | overrides)


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({}, {}),
        ({"schema": "", "password": "", "extra": ""}, {}),
        ({"host": "consul.service.consul", "port": 8501, "schema": "https"}, {"scheme": "https", "port": 8501}),
        ({"host": "::1"}, {"host": "::1"}),
        ({"password": "5ec2e7"}, {"token": "5ec2e7"}),
        ({"extra": {"prefix": "teams/shop"}}, {"root": "teams/shop"}),
        ({"extra": {"datacenter": "dc2"}}, {"datacenter": "dc2"}),
        ({"extra": {"namespace": "team-1", "partition": "eu"}}, {"namespace": "team-1", "partition": "eu"}),
        ({"extra": {"namespace": "", "partition": None}}, {}),
        ({"extra": {"verify": False}}, {"verify": False}),
        ({"extra": {"verify": "false"}}, {"verify": False}),
        ({"extra": {"verify": "True"}}, {"verify": True}),
        ({"extra": dict.fromkeys(["prefix", "datacenter", "verify", "cert", "key", "wait"], "")}, {}),
        ({"extra": dict.fromkeys(["prefix", "datacenter", "verify", "cert", "key", "wait"])}, {}),
        ({"extra": {"unknown": 1}}, {}),
        ({"extra": {"wait": 40}}, {"wait": timedelta(seconds=40)}),
        ({"extra": {"wait": "40.5"}}, {"wait": timedelta(seconds=40.5)}),
        ({"extra": {"verify": __file__, "cert": __file__}}, {"verify": __file__, "cert": __file__}),
        ({"extra": {"cert": __file__, "key": __file__}}, {"cert": __file__, "key": __file__}),
    ],
)
def test_settings_of_a_connection(fields, settings):
    """What is left out, or left empty in the form, has its default."""
    host = fields.get("host", "127.0.0.1")
    assert parse_settings(make_connection(**fields)) == ConsulSettings(**{"host": host, "port": 8500} | settings)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": None}, "host must be a host name or an address and nothing else, not ''"),
        (
            {"host": "http://127.0.0.1"},
            "host must be a host name or an address and nothing else, not 'http://127.0.0.1'",
        ),
        ({"host": "consul/ui"}, "host must be"),
        ({"host": "127.0.0.1:8500"}, "host must be"),
        ({"host": "[::1]"}, "host must be"),
        ({"host": "user@consul"}, "host must be"),
        ({"host": "con sul"}, "host must be"),
        ({"port": None}, "port is missing; Consul's default is 8500 for http and 8501 for https"),
        ({"port": 0}, "port is missing"),
        ({"port": -1}, "port must be from 1 to 65535, not -1"),
        ({"port": 85000}, "port must be from 1 to 65535, not 85000"),
        ({"schema": "ftp"}, "schema must be http or https, not 'ftp'"),
        ({"schema": "HTTPS"}, "schema must be http or https, not 'HTTPS'"),
        ({"extra": {"prefix": "a//b"}}, "prefix 'a//b' is not one or more names with '/' between"),
        ({"extra": {"prefix": "/a"}}, "prefix '/a' is not"),
        ({"extra": {"prefix": "a/"}}, "prefix 'a/' is not"),
        ({"extra": {"prefix": ["a"]}}, "prefix ['a'] is not"),
        (
            {"extra": {"verify": "/nowhere/ca.pem"}},
            "verify must be the path of an existing file, not '/nowhere",
        ),
        (
            {"extra": {"namespace": "team/1"}},
            "namespace must be 1 to 64 letters, digits or hyphens, not 'team/1'; only Consul Enterprise has any",
        ),
        ({"extra": {"namespace": "*"}}, "namespace must be 1 to 64 letters"),
        ({"extra": {"namespace": 7}}, "namespace must be 1 to 64 letters"),
        ({"extra": {"partition": "eu\r\nX-Two: 2"}}, "partition must be 1 to 64 letters"),
        ({"extra": {"verify": "yes"}}, "verify must be the path of an existing file, not 'yes'"),
        ({"extra": {"verify": 1.5}}, "verify must be the path of an existing file, not 1.5"),
        ({"extra": {"cert": "/nowhere/client.pem"}}, "cert must be the path of an existing file"),
        ({"extra": {"cert": [__file__, __file__]}}, "cert must be the path of an existing file"),
        ({"extra": {"key": "/nowhere/client.key"}}, "key must be the path of an existing file"),
        (
            {"extra": {"wait": 0.5}},
            "wait must be a number of seconds from 1 to 600, not 0.5; choose less than",
        ),
        ({"extra": {"wait": 601}}, "wait must be a number of seconds from 1 to 600, not 601"),
        ({"extra": {"wait": "55s"}}, "wait must be a number of seconds from 1 to 600, not '55s'"),
        ({"extra": {"wait": "nan"}}, "wait must be"),
        ({"extra": {"wait": True}}, "wait must be"),
        ({"extra": {"wait": [55]}}, "wait must be"),
        ({"extra": "{'prefix': 'teams/shop'}"}, "extra is not JSON"),
        ({"extra": "[]"}, "extra must be a JSON object, not a list"),
    ],
)
def test_bad_connection(fields, words):
    """The error names the connection and the field."""
    with pytest.raises(InvalidInput) as caught:
        parse_settings(make_connection(**fields))
    assert str(caught.value).startswith(f"connection shop: {words}")


@pytest.mark.parametrize("token", ["5ec2e7\n", " 5ec2e7", "5ec 2e7", "5ec2é7", "5ec2e7\x00"])
def test_password_that_no_header_can_carry(token):
    """A careless copy is said to be one, and the token is not shown."""
    with pytest.raises(InvalidInput, match="connection shop: password is not an ACL token") as caught:
        parse_settings(make_connection(password=token))
    assert "5ec" not in str(caught.value)


# Testing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """A person waits in front of the button; a test should not."""
    monkeypatch.setattr("airflow_provider_chefconsul.hooks.consul._TEST_PATIENCE", timedelta(seconds=0.2))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connection_that_works(monkeypatch, cluster, consul_kv, consul_root, certificates, scheme):
    """The leader is named, and the environments are counted."""
    for key in ("demo/web/desired", "demo/app/desired", "demo/_history/web/000000000001", "test/web/nodes/web-1"):
        consul_kv[key] = "{}"
    tls = certificates.server_context() if scheme == "https" else None
    with Peer(forward_to(cluster.http_port), tls=tls) as peer:
        connect(monkeypatch, peer.port, prefix=consul_root, schema=scheme, verify=certificates.path("ca.pem"))
        is_fine, message = ConsulHook().test_connection()
    leader = f"127.0.0.1:{cluster.server.server_port}"
    assert message == (
        f"Consul at {scheme}://127.0.0.1:{peer.port} has leader {leader}, and may be used below {consul_root}/"
    )
    assert is_fine


def test_connection_with_a_prefix_of_several_names(monkeypatch, cluster, consul_kv, consul_root):
    """The whole prefix is what the token is tried on."""
    consul_kv["teams/shop/demo/web/desired"] = "{}"
    connect(monkeypatch, cluster.http_port, prefix=f"{consul_root}/teams/shop")
    is_fine, message = ConsulHook().test_connection()
    assert is_fine
    assert message.endswith(f", and may be used below {consul_root}/teams/shop/")


def test_connection_with_a_token(monkeypatch, acl_consul, consul_root):
    """A token that may read the prefix, nodes and services is enough, also where it finds nothing yet."""
    lists = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'
    token = acl_consul.create_token(f'{lists} key_prefix "{consul_root}/" {{ policy = "read" }}')
    connect(monkeypatch, acl_consul.port, prefix=consul_root, password=token)
    is_fine, message = ConsulHook().test_connection()
    assert is_fine, message
    assert message.endswith(f", and may be used below {consul_root}/")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ('node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }', "403 "),
        (
            'key_prefix "" { policy = "read" } service_prefix "" { policy = "read" }',
            'give its policy node_prefix "" read',
        ),
        ('key_prefix "" { policy = "read" } node_prefix "" { policy = "read" }', 'service_prefix "" read'),
    ],
)
def test_connection_whose_token_may_too_little(monkeypatch, acl_consul, rules, words):
    """Lists that the token may not see are empty in Consul, and no success here."""
    connect(monkeypatch, acl_consul.port, password=acl_consul.create_token(rules))
    is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert words in message


@pytest.mark.parametrize("token", [UNKNOWN_TOKEN, "5ec2e7"])
def test_connection_whose_token_is_refused(monkeypatch, acl_consul, token):
    """Consul's own words, and where to look; never the token."""
    connect(monkeypatch, acl_consul.port, password=token)
    is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert re.search("Consul refuses the ACL token.*; check the connection's password", message)
    assert token not in message


def test_connection_to_nobody(monkeypatch, impatient, free_port):
    """The address is named."""
    connect(monkeypatch, free_port)
    is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert message.startswith(f"http://127.0.0.1:{free_port} cannot be reached: ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, '""'), "Consul's servers have no leader"),
        (
            Answer(500, "No cluster leader"),
            "Consul's servers have no leader; look at `consul operator raft list-peers`",
        ),
        (Answer(429, "slow down"), "Consul limits the rate of requests"),
        (Answer(200, "<html>"), "this does not answer like Consul"),
        (Answer(404, "<html>"), "this does not answer like Consul"),
        (None, "cannot be reached: "),
    ],
)
def test_connection_to_a_consul_in_trouble(monkeypatch, impatient, answer, words):
    """What is wrong is said, whatever it is."""
    with Peer(lambda _: answer) as peer:
        connect(monkeypatch, peer.port)
        is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert message.startswith(f"http://127.0.0.1:{peer.port}")
    assert words in message


@pytest.mark.parametrize("server", ["plain", "tls"])
def test_connection_whose_tls_fails(monkeypatch, cluster, certificates, server):
    """A plain port, and an authority that nobody trusts."""
    tls = certificates.server_context() if server == "tls" else None
    with Peer(forward_to(cluster.http_port), tls=tls) as peer:
        connect(monkeypatch, peer.port, schema="https")
        is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert message.startswith(f"https://127.0.0.1:{peer.port}: ")
    assert message.endswith("; check the connection's schema, verify, cert and key")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": "ftp"}, "connection consul_default: schema must be http or https"),
        ({"schema": "https", "verify": __file__}, "the connection's TLS files cannot be used"),
    ],
)
def test_connection_that_cannot_be_read(monkeypatch, free_port, fields, words):
    """The same words as a task would say."""
    connect(monkeypatch, free_port, **fields)
    is_fine, message = ConsulHook().test_connection()
    assert not is_fine
    assert message.startswith(words)


# Using ----------------------------------------------------------------------------------------------------------------


def test_get_conn_carries_the_connections_token(monkeypatch, acl_consul, consul_root):
    """CONSUL_HTTP_TOKEN, which py-consul prefers, does not replace it."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", UNKNOWN_TOKEN)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://127.0.0.1:1")
    connect(monkeypatch, acl_consul.port, password=MANAGEMENT_TOKEN)
    client = ConsulHook().get_conn()
    assert client.kv.put(f"{consul_root}/a", "1")
    assert client.kv.get(f"{consul_root}/a")[1]["Value"] == b"1"
    assert client.kv.delete(f"{consul_root}/", recurse=True)


def test_open_view_is_that_of_the_connection(monkeypatch, cluster, consul_kv, consul_root):
    """Its prefix and its address; the id may be any."""
    connect(monkeypatch, cluster.http_port, connection_id="shop", prefix=consul_root)

    async def declare() -> None:
        async with ConsulHook("shop").open_view() as view:
            await write(view, "demo", {"web": make_change()})

    asyncio.run(declare())
    assert "demo/web/desired" in consul_kv


def test_open_view_with_a_refused_token(monkeypatch, acl_consul):
    """Never an empty tier."""
    connect(monkeypatch, acl_consul.port, password=UNKNOWN_TOKEN)

    async def read() -> None:
        async with ConsulHook().open_view() as view:
            await view.read("demo", "web")

    with pytest.raises(AccessDenied, match="ACL not found"):
        asyncio.run(read())
