"""Which Consul a command uses: that of ``--url``, of an environment variable, or of a connection that Airflow knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from airflow_provider_chefconsul.cli.argument_definition import DEFAULT_CONNECTION
from airflow_provider_chefconsul.cli.option import find_option
from airflow_provider_chefconsul.consul.http.connection import parse_connection
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.exceptions import UnusableConnection

_FORM = "http[s]://HOST:PORT[?prefix=…]"
_PARAMETERS = ("prefix", "datacenter", "namespace", "partition", "verify", "cert", "key", "wait")
_TRUE = {"1", "t", "true"}  # as Consul reads them
_FALSE = {"0", "f", "false"}


def find_in_variables(connection_id: str, variables: Mapping[str, str]) -> ConsulSettings | None:
    """The settings of a connection that stands in environment variables; None if none has it.

    ``AIRFLOW_CONN_<ID>`` first, read as Airflow reads it; for the default connection also Consul's own variables.

    :raises UnusableConnection: the variable's content is refused.
    """
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    if text := variables.get(name, "").strip():
        root = _default_root(variables)
        return _parse_json(name, text, root) if text.startswith("{") else _parse_uri(name, text, root)
    address = variables.get("CONSUL_HTTP_ADDR", "").strip()
    if address and connection_id == DEFAULT_CONNECTION:
        return parse_url("CONSUL_HTTP_ADDR", address, variables)
    return None


def parse_url(label: str, url: str, variables: Mapping[str, str]) -> ConsulSettings:
    """Parse the address of a Consul; what it leaves out is taken from Consul's own variables.

    :param label: where it stands, for errors.
    :raises UnusableConnection: it is no such address; the token that it may hold is not shown.
    """
    if "://" not in url:
        url = f"{'https' if variables.get('CONSUL_HTTP_SSL', '').lower() in _TRUE else 'http'}://{url}"
    parts = _split(label, url)
    if parts.scheme not in {"http", "https"}:
        raise UnusableConnection(f"{label}: cannot use {parts.scheme}://; expected {_FORM}")
    if parts.username:
        raise UnusableConnection(f"{label}: a colon is missing before the token: http://:TOKEN@HOST:PORT")
    if parts.path not in {"", "/"} or parts.fragment:
        raise UnusableConnection(f"{label}: must not have a path; expected {_FORM}")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := given.keys() - set(_PARAMETERS):
        known = ", ".join(_PARAMETERS)
        raise UnusableConnection(f"{label}: unknown parameter {min(unknown)!r}; expected one of {known}")
    return parse_connection(
        label,
        host=parts.hostname,
        port=_port(label, parts),
        schema=parts.scheme,
        password=unquote(parts.password or "") or variables.get("CONSUL_HTTP_TOKEN"),
        extra=json.dumps({**_extra_of(variables), **given}),
        default_root=_default_root(variables),
    )


def _default_root(variables: Mapping[str, str]) -> str:
    """The prefix of keys where nothing else names one, which is that of the Dags on the same machine."""
    return find_option("default_prefix", variables) or DEFAULT_ROOT


def _extra_of(variables: Mapping[str, str]) -> dict[str, object]:
    """What Consul's own variables say of the tenant and of TLS."""
    is_verified = variables.get("CONSUL_HTTP_SSL_VERIFY", "").lower() not in _FALSE
    return {
        "namespace": variables.get("CONSUL_NAMESPACE"),
        "partition": variables.get("CONSUL_PARTITION"),
        "verify": variables.get("CONSUL_CACERT") if is_verified else False,
        "cert": variables.get("CONSUL_CLIENT_CERT"),
        "key": variables.get("CONSUL_CLIENT_KEY"),
    }


def _parse_uri(label: str, text: str, default_root: str) -> ConsulSettings:
    """Parse a connection as Airflow writes it into a URI: ``consul://:TOKEN@HOST:PORT/https?prefix=…``."""
    if "://" not in text:
        raise UnusableConnection(f"{label}: neither a URI, such as consul://127.0.0.1:8500, nor a JSON object")
    if "://" in text.partition("?")[0].partition("://")[2]:
        raise UnusableConnection(
            f"{label}: names two protocols; https belongs after the port: consul://HOST:PORT/https"
        )
    parts = _split(label, text)
    if parts.scheme == "https":  # Airflow takes it for the connection's type, and then speaks plain HTTP
        raise UnusableConnection(f"{label}: https belongs after the port: consul://HOST:PORT/https")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return parse_connection(
        label,
        host=unquote(parts.hostname or ""),
        port=_port(label, parts),
        schema=unquote(parts.path[1:]),
        password=unquote(parts.password or ""),
        extra=query.get("__extra__", json.dumps(query)),
        default_root=default_root,
    )


def _parse_json(label: str, text: str, default_root: str) -> ConsulSettings:
    """Parse a connection as Airflow writes it into JSON."""
    try:
        fields: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UnusableConnection(f"{label}: is not JSON: {error}") from error
    names = ("host", "schema", "password")
    if wrong := [name for name in names if not isinstance(fields.get(name), str | None)]:
        raise UnusableConnection(f"{label}: {wrong[0]} must be text")
    try:
        port = int(fields.get("port") or 0)
    except (TypeError, ValueError):
        raise UnusableConnection(f"{label}: port must be a number, not {fields['port']!r}") from None
    extra = fields.get("extra")
    return parse_connection(
        label,
        **{name: fields.get(name) for name in names},
        port=port,
        extra=extra if isinstance(extra, str | None) else json.dumps(extra),
        default_root=default_root,
    )


def _split(label: str, url: str) -> SplitResult:
    """Split a URL.

    :raises UnusableConnection: it is none, or a token's "/", "?" or "#" has cut it off too early.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UnusableConnection(f"{label}: is not a URL; expected {_FORM}") from None  # the cause may show the token
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise UnusableConnection(
            f"{label}: percent-encode what is not a letter, digit or '-' in the token and parameters"
        )
    return parts


def _port(label: str, parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise UnusableConnection(f"{label}: port must be a number from 1 to 65535") from None
