"""The operations of a Consul transaction. Standard library only."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

LONGEST_TRANSACTION = 64  # operations; later versions of Consul take more
_NO_TENANCY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a transaction, on the key-value store or on the catalog."""

    kind: Literal["KV", "Node", "Service", "Check"]
    fields: Mapping[str, Any]

    @classmethod
    def set_key(cls, key: str, value: str | bytes) -> Operation:
        """Write a key, whatever it holds."""
        return cls("KV", {"Verb": "set", "Key": key, "Value": _encode(value)})

    @classmethod
    def check_and_set(cls, key: str, value: str | bytes, index: int) -> Operation:
        """Write a key if its ModifyIndex is still ``index``; 0 means that it must not exist."""
        return cls("KV", {"Verb": "cas", "Key": key, "Value": _encode(value), "Index": index})

    @classmethod
    def delete(cls, key: str) -> Operation:
        """Delete a key if it exists."""
        return cls("KV", {"Verb": "delete", "Key": key})

    @classmethod
    def check_and_delete(cls, key: str, index: int) -> tuple[Operation, Operation]:
        """Delete a key if its ModifyIndex is still ``index``; fails without the key, where ``delete-cas`` succeeds."""
        return cls.check_index(key, index), cls.delete(key)

    @classmethod
    def check_index(cls, key: str, index: int) -> Operation:
        """Fail unless the key's ModifyIndex is ``index``; 0 means that it must not exist."""
        if index == 0:
            return cls.check_absent(key)
        return cls("KV", {"Verb": "check-index", "Key": key, "Index": index})

    @classmethod
    def check_absent(cls, key: str) -> Operation:
        """Fail if the key exists."""
        return cls("KV", {"Verb": "check-not-exists", "Key": key})

    @classmethod
    def read_tree(cls, prefix: str) -> Operation:
        """Read every entry below a prefix."""
        return cls("KV", {"Verb": "get-tree", "Key": prefix})

    @classmethod
    def set_node(cls, node: str, address: str, meta: Mapping[str, str], node_id: str | None = None) -> Operation:
        """Register a node.

        :param node_id: Consul's id of the machine.
        """
        entry = {"Node": node, "Address": address, "Meta": dict(meta)}
        return cls("Node", {"Verb": "set", "Node": entry if node_id is None else {**entry, "ID": node_id}})

    @classmethod
    def delete_node(cls, node: str) -> Operation:
        """Deregister a node, with its services and checks."""
        return cls("Node", {"Verb": "delete", "Node": {"Node": node}})

    @classmethod
    def set_service(cls, node: str, service: str) -> Operation:
        """Register an instance of a service on a node."""
        return cls("Service", {"Verb": "set", "Node": node, "Service": {"ID": service, "Service": service}})

    @classmethod
    def set_check(cls, node: str, check_id: str, name: str, status: str) -> Operation:
        """Register a check of a node.

        :param status: "passing" or "critical".
        """
        return cls(
            "Check", {"Verb": "set", "Check": {"Node": node, "CheckID": check_id, "Name": name, "Status": status}}
        )

    def to_fields(self, tenancy: Mapping[str, str] = _NO_TENANCY) -> dict[str, Any]:
        """The operation in Consul's JSON form.

        :param tenancy: namespace and partition, which a transaction takes from its operations, not from headers.
        """
        if self.kind == "KV":
            return {"KV": {**self.fields, **tenancy}}
        if self.kind == "Node":  # nodes have a partition, but no namespace
            tenancy = {name: value for name, value in tenancy.items() if name == "Partition"}
        return {self.kind: {**self.fields, self.kind: {**self.fields[self.kind], **tenancy}}}


def _encode(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
