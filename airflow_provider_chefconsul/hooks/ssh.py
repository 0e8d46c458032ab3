"""Connecting to nodes over SSH by an Airflow connection.

asyncssh, from the extra ``ssh``, is imported when it is first needed: Dags parse without it, and faster. The SSH
provider brings the connection's form; how its hook treats host keys depends on its version, so this module reads
connections itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_chefconsul.exceptions import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from asyncssh import SSHClientConnection

    from airflow_provider_chefconsul.nudge.login import Login
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

    :param targets: by node.
    :param deadline: aware; when to come back with what is known.
    :param max_parallel: how many hosts may be connected at the same time; None is all.
    :param on_progress: called with a line of text whenever something changes.
    :returns: by node what is known, and the nodes that the deadline cut short.
    :raises InvalidInput: the connection cannot be used, so nothing was run anywhere.
    :raises MissingExtra: asyncssh is not installed here.
    """
    try:
        from airflow_provider_chefconsul.nudge.ssh import open_connection, run_over_ssh
    except ModuleNotFoundError as error:
        if error.name != "asyncssh":
            raise
        raise MissingExtra(
            "asyncssh is not installed where this task runs; install airflow-provider-chefconsul[ssh] there"
        ) from error

    connection = await BaseHook.aget_connection(ssh_conn_id)
    try:
        login = read_login(connection)
    except ValueError as error:
        raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error

    async def connect(address: str) -> SSHClientConnection:
        try:
            return await open_connection(login, address)
        except OSError as error:
            if error.filename is None:
                raise
            raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error
        except ValueError as error:  # asyncssh's key errors are ValueErrors, too
            raise InvalidInput(f"connection {ssh_conn_id}: {error}") from error

    return await run_over_ssh(targets, connect, deadline=deadline, max_parallel=max_parallel, on_progress=on_progress)


def read_login(connection: Connection) -> Login:
    """What an Airflow connection of type ``ssh`` says about logging in, to any host.

    :raises InvalidInput: it says too little, or contradicts itself.
    """
    from airflow_provider_chefconsul.nudge.login import Login

    if not connection.login:
        raise InvalidInput("login is missing; enter the user to log in as on the nodes")
    extra: dict[str, Any] = connection.extra_dejson
    is_unchecked = _is_true(extra.get("no_host_key_check"))
    if _is_true(extra.get("ignore_hostkey_verification")) and not is_unchecked:
        raise InvalidInput(
            "the extra ignore_hostkey_verification is no longer read; list the nodes' keys in known_hosts, "
            "or set no_host_key_check"
        )
    host_key = extra.get("host_key") or ""
    if host_key and is_unchecked:
        raise InvalidInput("no_host_key_check contradicts host_key; remove one of these extras")
    return Login(
        user=connection.login,
        port=connection.port,
        password=connection.password,
        key_file=extra.get("key_file"),
        private_key=extra.get("private_key"),
        passphrase=extra.get("passphrase") or extra.get("private_key_passphrase"),
        known_hosts=extra.get("known_hosts"),
        host_key=host_key,
        is_host_key_checked=not is_unchecked,
    )


def _is_true(value: object) -> bool:
    """Extras come as JSON, or as text from Airflow's form."""
    return str(value).lower() == "true"
