"""The Airflow hook for connections of type ``consul``.

The adapter is imported when it is used, here and in the triggers: with py-consul and httpx it would add 80 ms to the
parsing of every Dag file.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_chefconsul.consul.http.blocking import LONGEST_WAIT, WAITS
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT, Keys
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, UnusableConnection

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from consul.std import Consul

    from airflow_provider_chefconsul.consul.view import SharedView

CONSUL_PATIENCE = timedelta(seconds=60)
"""How long tasks retry while Consul is unavailable; electing a leader has been seen to take 14 s."""

_TEST_PATIENCE = timedelta(seconds=3)
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HIGHEST_PORT = 65535
_TOKEN = re.compile(r"[!-~]+")  # what can be sent in a header, without the spaces of a careless copy


class ConsulHook(BaseHook):
    """
    Opens the Consul of an Airflow connection.

    :param consul_conn_id: id of a connection of type ``consul``.
    """

    conn_name_attr = "consul_conn_id"
    default_conn_name = "consul_default"
    conn_type = "consul"
    hook_name = "Consul"

    def __init__(self, consul_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.consul_conn_id = consul_conn_id

    def get_conn(self) -> Consul:
        """py-consul's synchronous client, for your own code; this package's operators do not use it."""
        from airflow_provider_chefconsul.consul.http.plain import plain_client

        return plain_client(self.settings())

    def settings(self) -> ConsulSettings:
        """The connection's settings.

        :raises UnusableConnection: names the field that is missing or wrong.
        """
        return parse_settings(self.get_connection(self.consul_conn_id))

    @asynccontextmanager
    async def open_view(self, *, patience: timedelta | None = None) -> AsyncGenerator[SharedView]:
        """The shared data view, open inside the context.

        Views that are open at the same time in one event loop, on the same connection, share their connections to
        Consul.

        :param patience: how long reads and writes are retried while Consul is unavailable; None is
            :data:`CONSUL_PATIENCE`.
        :raises UnusableConnection: the connection's fields are refused.
        """
        patience = CONSUL_PATIENCE if patience is None else patience
        from airflow_provider_chefconsul.consul.http.client import ConsulClient
        from airflow_provider_chefconsul.consul.view import SharedView

        settings = parse_settings(await self.aget_connection(self.consul_conn_id))
        async with ConsulClient(settings, retry_for=patience) as client:
            yield SharedView(client, patience=patience)

    def test_connection(self) -> tuple[bool, str]:
        """Whether Consul can be used, and what is wrong when it cannot: unreachable, no leader, token or TLS."""
        try:
            return True, asyncio.run(_describe(self.settings()))
        except ChefConsulError as error:
            return False, str(error)


def parse_settings(connection: Connection) -> ConsulSettings:
    """Parse an Airflow connection.

    :raises UnusableConnection: names the connection and the field that is missing or wrong.
    """
    label = f"connection {connection.conn_id}"
    extra = _parse_extra(label, connection.extra)
    scheme = connection.schema or "http"
    host = connection.host or ""
    if not _is_host(host):
        raise UnusableConnection(f"{label}: host must be a host name or an address and nothing else, not {host!r}")
    if not connection.port:
        raise UnusableConnection(f"{label}: port is missing; Consul's default is 8500 for http and 8501 for https")
    if not 0 < connection.port <= _HIGHEST_PORT:
        raise UnusableConnection(f"{label}: port must be from 1 to {_HIGHEST_PORT}, not {connection.port}")
    if scheme not in {"http", "https"}:
        raise UnusableConnection(f"{label}: schema must be http or https, not {scheme!r}")
    if connection.password and not _TOKEN.fullmatch(connection.password):
        raise UnusableConnection(
            f"{label}: password is not an ACL token: it contains spaces, line breaks or non-ASCII characters"
        )
    root = extra.get("prefix") or DEFAULT_ROOT
    try:
        Keys(root)
    except InvalidInput as error:
        raise UnusableConnection(f"{label}: {error}") from error
    return ConsulSettings(
        host=host,
        port=connection.port,
        scheme=scheme,
        token=connection.password or None,
        root=root,
        datacenter=extra.get("datacenter") or None,
        verify=_parse_verify(label, extra.get("verify")),
        cert=_parse_path(label, "cert", extra.get("cert")),
        key=_parse_path(label, "key", extra.get("key")),
        wait=_parse_wait(label, extra.get("wait")),
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


async def _describe(settings: ConsulSettings) -> str:
    from airflow_provider_chefconsul.consul.catalog import check_can_list
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

    async with ConsulClient(settings, retry_for=_TEST_PATIENCE) as client:
        leader = await client.leader()
        await client.check_token()
        await client.get(f"{settings.root}/")  # a list omits what the token may not read; a single key is refused
        await check_can_list(client, "node")
        await check_can_list(client, "service")
    return f"Consul at {settings.url} has leader {leader}, and may be used below {settings.root}/"
