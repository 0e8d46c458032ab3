"""Asking Airflow for a connection: its database, its environment or a secrets backend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_chefconsul.exceptions import UnusableConnection
from airflow_provider_chefconsul.hooks.consul import ConsulHook, parse_settings

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.settings import ConsulSettings


async def ask_airflow(connection_id: str) -> ConsulSettings:
    """The settings of an Airflow connection.

    :raises UnusableConnection: Airflow has no such connection, or its fields are refused.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"  # as Airflow's commands do: find connections in the database, too
    try:
        return parse_settings(await ConsulHook.aget_connection(connection_id))
    except AirflowNotFoundException as error:
        raise UnusableConnection(
            f"Airflow has no connection {connection_id!r}; add it in its UI or by "
            f"AIRFLOW_CONN_{connection_id.upper()}, name another by --conn-id, or say which Consul by --url"
        ) from error
