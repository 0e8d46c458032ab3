"""Parsing a connection's fields, wherever they come from: Airflow, a variable or a URL."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from airflow_provider_chefconsul.consul.http.blocking import LONGEST_WAIT, WAITS
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT, Keys
from airflow_provider_chefconsul.exceptions import InvalidInput, UnusableConnection

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HIGHEST_PORT = 65535
_TENANCY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[!-~]+")  # what can be sent in a header, without the spaces of a careless copy


def parse_connection(
    label: str,
    *,
    host: str | None,
    port: int | None,
    schema: str | None = None,
    password: str | None = None,
    extra: str | None = None,
    default_root: str = DEFAULT_ROOT,
) -> ConsulSettings:
    """Parse the fields of a connection, which are named as Airflow names them.

    :param label: what to call the connection in an error.
    :param extra: a JSON object.
    :param default_root: the root of the shared data view where the extra names no prefix.
    :raises UnusableConnection: names the connection and the field that is missing or wrong; never shows the password.
    """
    extras = _parse_extra(label, extra)
    scheme, host = schema or "http", host or ""
    if not _is_host(host):
        raise UnusableConnection(f"{label}: host must be a host name or an address and nothing else, not {host!r}")
    if not port:
        raise UnusableConnection(f"{label}: port is missing; Consul's default is 8500 for http and 8501 for https")
    if not 0 < port <= _HIGHEST_PORT:
        raise UnusableConnection(f"{label}: port must be from 1 to {_HIGHEST_PORT}, not {port}")
    if scheme not in {"http", "https"}:
        raise UnusableConnection(f"{label}: schema must be http or https, not {scheme!r}")
    if password and not _TOKEN.fullmatch(password):
        raise UnusableConnection(
            f"{label}: password is not an ACL token: it contains spaces, line breaks or non-ASCII characters"
        )
    root = extras.get("prefix") or default_root
    try:
        Keys(root)
    except InvalidInput as error:
        raise UnusableConnection(f"{label}: {error}") from error
    return ConsulSettings(
        host=host,
        port=port,
        scheme=scheme,
        token=password or None,
        root=root,
        datacenter=extras.get("datacenter") or None,
        namespace=_parse_tenancy(label, "namespace", extras.get("namespace")),
        partition=_parse_tenancy(label, "partition", extras.get("partition")),
        verify=_parse_verify(label, extras.get("verify")),
        cert=_parse_path(label, "cert", extras.get("cert")),
        key=_parse_path(label, "key", extras.get("key")),
        wait=_parse_wait(label, extras.get("wait")),
    )


def _parse_extra(label: str, text: str | None) -> dict[str, Any]:
    """Airflow takes an extra that is not JSON for an empty one, and keys would then go to another prefix."""
    try:
        extra = json.loads(text or "{}")
    except ValueError as error:
        raise UnusableConnection(f"{label}: extra is not JSON: {error}") from error
    if not isinstance(extra, dict):
        raise UnusableConnection(f"{label}: extra must be a JSON object, not a {type(extra).__name__}")
    return extra


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def _parse_tenancy(label: str, name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _TENANCY.fullmatch(value):
        raise UnusableConnection(
            f"{label}: {name} must be 1 to 64 letters, digits or hyphens, not {value!r}; only Consul Enterprise has any"
        )
    return value


def _parse_verify(label: str, value: Any) -> bool | str:
    match value:
        case None | "" | True | "true" | "True":
            return True
        case False | "false" | "False":
            return False
        case _:
            return _parse_path(label, "verify", value) or True


def _parse_path(label: str, name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not Path(value).exists():
        raise UnusableConnection(f"{label}: {name} must be the path of an existing file, not {value!r}")
    return value


def _parse_wait(label: str, value: Any) -> timedelta:
    """Parse how long a query may block: seconds, as a number or, from a form's field, as text."""
    if value is None or value == "":
        return LONGEST_WAIT
    try:
        wait = timedelta(seconds=float(value)) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        wait = None
    shortest, longest = WAITS
    if wait is None or not shortest <= wait <= longest:
        bounds = f"{shortest.total_seconds():g} to {longest.total_seconds():g}"
        raise UnusableConnection(
            f"{label}: wait must be a number of seconds from {bounds}, not {value!r}; choose less than the time after "
            f"which a load balancer in front of Consul cuts requests"
        )
    return wait
