"""Airflow's way to nodes over SSH.

The SSH provider and asyncssh are imported when they are first needed: they would add 140 ms to the parsing of every
Dag file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.nudge.result import NodeResult
from airflow_provider_chefconsul.nudge.target import Target

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

DEFAULT_SSH_CONNECTION = "ssh_default"


async def execute_over_ssh(
    ssh_conn_id: str,
    targets: Mapping[str, Target],
    *,
    deadline: datetime,
    max_parallel: int | None,
    on_progress: Callable[[str], None],
) -> tuple[dict[str, NodeResult], set[str]]:
    """Run commands on hosts, as the user and by the port, keys and known hosts of an Airflow connection.

    ``SSHHookAsync`` reads the connection and checks host keys, unless its extra ``no_host_key_check`` is true; see
    ``nudge.ssh.run_over_ssh`` for the rest.

    :raises InvalidInput: nothing could be run anywhere because of the connection.
    """
    from airflow_provider_chefconsul.nudge.ssh import run_over_ssh

    connection = await BaseHook.aget_connection(ssh_conn_id)
    if not connection.login:
        raise InvalidInput(f"connection {ssh_conn_id}: login is missing; name the user to be on the nodes")

    async def connect(address: str) -> SSHClientConnection:
        return await _connect(ssh_conn_id, address)

    return await run_over_ssh(targets, connect, deadline=deadline, max_parallel=max_parallel, on_progress=on_progress)


async def _connect(ssh_conn_id: str, address: str) -> SSHClientConnection:
    """Open a connection to a host; what is wrong with the Airflow connection itself is told from the host's trouble."""
    from airflow.providers.ssh.hooks.ssh import SSHHookAsync

    try:
        hook = SSHHookAsync(ssh_conn_id, host=address)
        connection: SSHClientConnection = await hook.get_conn()  # type: ignore[no-untyped-call]
    except OSError as error:
        if error.filename is None:
            raise
        raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error
    except ValueError as error:  # asyncssh's errors of keys are such, too
        raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error
    return connection
