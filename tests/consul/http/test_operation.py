"""Operations of a transaction, in Consul's format."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.consul.http.operation import Operation


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        (Operation.set_key("a", "new"), {"KV": {"Verb": "set", "Key": "a", "Value": "bmV3"}}),
        (Operation.set_key("a", b"\x00\xff"), {"KV": {"Verb": "set", "Key": "a", "Value": "AP8="}}),
        (Operation.check_and_set("a", "", 7), {"KV": {"Verb": "cas", "Key": "a", "Value": "", "Index": 7}}),
        (Operation.delete("a"), {"KV": {"Verb": "delete", "Key": "a"}}),
        (Operation.check_index("a", 7), {"KV": {"Verb": "check-index", "Key": "a", "Index": 7}}),
        (Operation.check_absent("a"), {"KV": {"Verb": "check-not-exists", "Key": "a"}}),
        (Operation.read_tree("a/"), {"KV": {"Verb": "get-tree", "Key": "a/"}}),
        (
            Operation.set_node("web-1", "127.0.0.1", {"rack": "r1"}),
            {"Node": {"Verb": "set", "Node": {"Node": "web-1", "Address": "127.0.0.1", "Meta": {"rack": "r1"}}}},
        ),
        (
            Operation.set_node("web-1", "127.0.0.1", {}, "1f"),
            {"Node": {"Verb": "set", "Node": {"Node": "web-1", "Address": "127.0.0.1", "Meta": {}, "ID": "1f"}}},
        ),
        (Operation.delete_node("web-1"), {"Node": {"Verb": "delete", "Node": {"Node": "web-1"}}}),
        (
            Operation.set_service("web-1", "web"),
            {"Service": {"Verb": "set", "Node": "web-1", "Service": {"ID": "web", "Service": "web"}}},
        ),
        (
            Operation.set_check("web-1", "health", "Health", "passing"),
            {
                "Check": {
                    "Verb": "set",
                    "Check": {"Node": "web-1", "CheckID": "health", "Name": "Health", "Status": "passing"},
                }
            },
        ),
    ],
    ids=lambda value: value.fields["Verb"] if isinstance(value, Operation) else "",
)
def test_operations(operation, fields):
    """Values are encoded; all other fields stay as given."""
    assert operation.to_fields() == fields
