"""The Airflow hook for connections of type ``consul``.

The adapter is imported when it is used, here and in the triggers: with py-consul and httpx it would add 40 ms to the
parsing of every Dag file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_chefconsul.configuration import read_default_prefix, read_history_kept, read_patience
from airflow_provider_chefconsul.exceptions import ChefConsulError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from consul.std import Consul

    from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
    from airflow_provider_chefconsul.consul.view import SharedView

_TEST_PATIENCE = timedelta(seconds=3)


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

        :param patience: how long reads and writes are retried while Consul is unavailable; None is the option
            ``[chefconsul] patience``.
        :raises UnusableConnection: the connection's fields are refused.
        :raises InvalidInput: an option of ``[chefconsul]`` is malformed.
        """
        patience = read_patience() if patience is None else patience
        from airflow_provider_chefconsul.consul.http.client import ConsulClient
        from airflow_provider_chefconsul.consul.view import SharedView

        settings = parse_settings(await self.aget_connection(self.consul_conn_id))
        async with ConsulClient(settings, retry_for=patience) as client:
            yield SharedView(client, patience=patience, history_kept=read_history_kept())

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
    from airflow_provider_chefconsul.consul.http.connection import parse_connection

    return parse_connection(
        f"connection {connection.conn_id}",
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        password=connection.password,
        extra=connection.extra,
        default_root=read_default_prefix(),
    )


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
