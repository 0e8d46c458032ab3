"""Entries of the catalog and of health checks, decoded from Consul's answers without a dictionary for each.

An instance of a service comes with half a kilobyte of JSON, of which a tier needs its node's name, id and metadata.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.json import Decoder


class NodeEntry(Struct, frozen=True, gc=False, rename="pascal"):
    """A node.

    :param machine: Consul's id of the machine; empty where the catalog has none.
    """

    node: str
    address: str
    meta: Mapping[str, str] | None = None
    machine: str = field(name="ID", default="")


class InstanceEntry(Struct, frozen=True, gc=False, rename="pascal"):
    """An instance of a service, with its node's metadata and id."""

    node: str
    meta: Mapping[str, str] | None = field(name="NodeMeta", default=None)
    machine: str = field(name="ID", default="")
    service: str = field(name="ServiceName", default="")


class CheckEntry(Struct, frozen=True, gc=False, rename="pascal"):
    """A health check; ``service`` is empty for a check of the node."""

    node: str
    status: str
    id: str = field(name="CheckID")
    name: str = ""
    notes: str = ""
    service: str = field(name="ServiceName", default="")


decode_nodes = Decoder(list[NodeEntry]).decode
decode_instances = Decoder(list[InstanceEntry]).decode
decode_checks = Decoder(list[CheckEntry]).decode
