"""Entries of the catalog and of health checks, and lists that are not such entries."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.consul.catalog import check_names, read_addresses, read_members
from airflow_provider_chefconsul.consul.http.catalog_entry import (
    CheckEntry,
    InstanceEntry,
    NodeEntry,
    decode_checks,
    decode_instances,
    decode_nodes,
)
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.domain.model.membership import MetaMembers, ServiceMembers
from airflow_provider_chefconsul.exceptions import RequestRejected
from tests.support.peer import Answer, Peer

NODE = {"ID": "3039", "Node": "web-1", "Address": "10.0.0.1", "Meta": {"tier": "web"}, "TaggedAddresses": None}
INSTANCE = {
    "ID": "3039",
    "Node": "web-1",
    "Address": "10.0.0.1",
    "NodeMeta": {"tier": "web"},
    "ServiceName": "web",
    "ServiceMeta": {"ID": "other"},
}
CHECK = {"Node": "web-1", "CheckID": "serfHealth", "Name": "Serf", "Status": "critical", "Notes": "", "ServiceName": ""}


@pytest.mark.parametrize(
    ("decode", "answer", "entry"),
    [
        (decode_nodes, NODE, NodeEntry("web-1", "10.0.0.1", {"tier": "web"}, "3039")),
        (decode_nodes, {"Node": "web-1", "Address": "", "Meta": None}, NodeEntry("web-1", "")),
        (decode_instances, INSTANCE, InstanceEntry("web-1", {"tier": "web"}, "3039", "web")),
        (decode_instances, {"Node": "web-1", "NodeMeta": None}, InstanceEntry("web-1")),
        (decode_checks, CHECK, CheckEntry("web-1", "critical", "serfHealth", "Serf")),
    ],
)
def test_entries_as_consul_writes_them(decode, answer, entry):
    """What a tier needs; an external node has neither id nor metadata."""
    assert decode(json.dumps([answer, answer]).encode()) == [entry, entry]


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "{}",
        '"many"',
        "[null]",
        "[{}]",
        '[{"Node": null, "Address": "", "CheckID": "a", "Status": "critical"}]',
        '[{"Node": "web-1", "Address": "", "Meta": {"a": 1}, "NodeMeta": {"a": 1}, "CheckID": 1}]',
        '[{"Node": "web-1"',
        '[{"Other": ' + "[" * 100_000,
        '[{"Node": "\udcff"}]',
    ],
)
async def test_lists_that_are_not_consuls(body):
    """A proxy's own answer is an error in words, and never an empty tier."""
    with Peer(lambda _: Answer(body=body.encode(errors="surrogateescape"))) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port)) as client:
            for request in (
                read_members(client, ServiceMembers("web")),
                read_members(client, MetaMembers("tier", "web")),
                read_addresses(client),
                check_names(client, "members", ["web-1"]),
            ):
                with pytest.raises(RequestRejected, match="this does not answer like Consul"):
                    await request
