"""Connecting to nodes over SSH by an Airflow connection.

The SSH provider and asyncssh are imported when they are first needed: they would add 140 ms to the parsing of every
Dag file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_chefconsul.exceptions import InvalidInput

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

    from airflow_provider_chefconsul.nudge.result import NodeResult
    from airflow_provider_chefconsul.nudge.target import Target

DEFAULT_SSH_CONNECTION = "ssh_default"


async def execute_over_ssh(
    ssh_conn_id: str,
    targets: Mapping[str, Target],
    *,
    deadline: datetime,
    max_parallel: int | None,
    on_progress: Callable[[str], None],
) -> tuple[dict[str, NodeResult], set[str]]:
    """Run commands on hosts, with the user, port, keys and known hosts of an Airflow connection.

    ``SSHHookAsync`` reads the connection and checks host keys, unless its extra ``no_host_key_check`` is true.

    :param targets: by node.
    :param deadline: aware; when to come back with what is known.
    :param max_parallel: how many hosts may be connected at the same time; None is all.
    :param on_progress: called with a line of text whenever something changes.
    :returns: by node what is known, and the nodes that the deadline cut short.
    :raises InvalidInput: the connection cannot be used, so nothing was run anywhere.
    """
    from airflow_provider_chefconsul.nudge.ssh import run_over_ssh

    connection = await BaseHook.aget_connection(ssh_conn_id)
    if not connection.login:
        raise InvalidInput(f"connection {ssh_conn_id}: login is missing; enter the user to log in as on the nodes")

    async def connect(address: str) -> SSHClientConnection:
        return await _connect(ssh_conn_id, address)

    return await run_over_ssh(targets, connect, deadline=deadline, max_parallel=max_parallel, on_progress=on_progress)


async def _connect(ssh_conn_id: str, address: str) -> SSHClientConnection:
    """Connect to a host.

    :raises InvalidInput: something is wrong with the Airflow connection itself, not with the host.
    """
    from airflow.providers.ssh.hooks.ssh import SSHHookAsync

    try:
        hook = SSHHookAsync(ssh_conn_id, host=address)
        connection: SSHClientConnection = await hook.get_conn()  # type: ignore[no-untyped-call]
    except OSError as error:
        if error.filename is None:
            raise
        raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error
    except ValueError as error:  # asyncssh's key errors are ValueErrors, too
        raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error
    return connection
