"""What Airflow discovers about this package."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_chefconsul"
_INTEGRATION = "Chef and Consul"
_GUIDES = ("acl", "backfill", "gates", "install", "promote-between-environments", "steer", "windows")
_OPTIONS = {
    "patience": ("float", "60", "How many seconds tasks retry while Consul is unavailable."),
    "history_kept": ("integer", "50", "How many generations of each tier are kept, to roll back to; at least 2."),
    "default_prefix": (
        "string",
        "chefconsul",
        "The prefix of keys where a connection names none. Nodes must be given the same one.",
    ),
    "board_conn_id": ("string", "consul_default", "The connection that the rollout board shows first."),
}


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata; Airflow calls this through the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-chefconsul",
        "name": _INTEGRATION,
        "description": "Take environments from one desired state to the next: declared in Consul, converged by Chef.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://developer.hashicorp.com/consul",
                "how-to-guide": [f"/docs/how-to/{page}.md" for page in _GUIDES],
                "logo": f"/{_PACKAGE}/ui/static/icon.svg",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hooks.consul"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    f"{_PACKAGE}.operators.{name}"
                    for name in (
                        "approval",
                        "audit",
                        "chef",
                        "converged_values",
                        "desired_state",
                        "freeze",
                        "lease",
                        "metric_gate",
                        "rollback",
                        "rollout_end",
                        "steering",
                        "transition",
                        "transitions",
                    )
                ],
            }
        ],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.sensors.converged"]}],
        "notifications": [f"{_PACKAGE}.notifications.rollout.RolloutNotifier"],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    f"{_PACKAGE}.triggers.{name}"
                    for name in (
                        "approval",
                        "converged",
                        "event",
                        "frozen",
                        "lease",
                        "metric_gate",
                        "remote_exec",
                        "ssh_chef",
                        "transition",
                        "window",
                    )
                ],
            }
        ],
        "config": {
            "chefconsul": {
                "description": "Options of the provider for Chef and Consul.",
                "options": {
                    name: {
                        "description": description,
                        "version_added": None,
                        "type": kind,
                        "example": None,
                        "default": default,
                    }
                    for name, (kind, default, description) in _OPTIONS.items()
                },
            }
        },
        "cli": [f"{_PACKAGE}.cli.airflow_commands.get_commands"],
        "asset-uris": [{"schemes": ["consul"], "handler": f"{_PACKAGE}.assets.normalize_uri"}],
        "extra-links": [f"{_PACKAGE}.links.{name}" for name in ("DesiredStateLink", "RolloutBoardLink")],
        "connection-types": [
            {
                "connection-type": "consul",
                "hook-name": "Consul",
                "hook-class-name": f"{_PACKAGE}.hooks.consul.ConsulHook",
                "ui-field-behaviour": {
                    "hidden-fields": ["login"],
                    "relabeling": {"schema": "Schema", "password": "ACL token"},
                    "placeholders": {"host": "127.0.0.1", "port": "8500", "schema": "http or https"},
                },
                "conn-fields": _connection_fields(),
            }
        ],
    }


def _connection_fields() -> dict[str, Any]:
    fields = {
        "prefix": ("Key prefix", "Every key of the shared data view begins with it; chefconsul when empty."),
        "datacenter": ("Datacenter", "The datacenter to use; the agent's own when empty."),
        "namespace": ("Namespace", "Of Consul Enterprise; the token's own when empty."),
        "partition": ("Partition", "Admin partition of Consul Enterprise; the token's own when empty."),
        "verify": ("Verify TLS", "true, false, or the path to a CA bundle on the machines that run Airflow."),
        "cert": ("Client certificate", "Path to a client certificate on the machines that run Airflow."),
        "key": ("Client key", "Path to the client certificate's key on the machines that run Airflow."),
        "wait": (
            "Longest wait",
            "How many seconds a request may wait for a change, 55 when empty; stay below the load balancer's limit.",
        ),
    }
    return {
        name: {"label": label, "description": description, "schema": {"type": ["string", "null"]}}
        for name, (label, description) in fields.items()
    }
