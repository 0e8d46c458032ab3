"""Running a command: its event loop, its errors, and its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode, exit_code_of
from airflow_provider_chefconsul.exceptions import ChefConsulError, UnusableConnection
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

Command = Callable[[Namespace, Output], Awaitable[ExitCode]]
PATIENCE = timedelta(seconds=10)  # somebody is waiting at a terminal


def command(function: Command) -> Callable[[Namespace], NoReturn]:
    """Turn a coroutine function into what Airflow's command line calls; it ends the process with the exit code."""

    @wraps(function)
    def run(args: Namespace) -> NoReturn:
        raise SystemExit(_run(function, args))

    return run


def _run(function: Command, args: Namespace) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    _log_to_standard_error()
    output = Output(is_json=getattr(args, "output", "table") == "json")
    try:
        return asyncio.run(_await(function(args, output)))
    except asyncio.CancelledError:
        return ExitCode.TERMINATED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        output.silence()
        return ExitCode.CLOSED_PIPE
    except ChefConsulError as error:
        output.error(str(error))
        return exit_code_of(error)


def _log_to_standard_error() -> None:
    """Keep Airflow's log out of what scripts read; Airflow 3.3 does so itself."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


async def _await(command: Awaitable[ExitCode]) -> ExitCode:
    """Await a command, which SIGTERM cancels, so that it cleans up the terminal and takes simulated nodes away."""
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await command


@asynccontextmanager
async def open_view(args: Namespace, *, patience: timedelta | None = None) -> AsyncGenerator[SharedView]:
    """The shared data view of the connection that ``--conn-id`` names.

    :param patience: how long reads and writes are retried while Consul is unavailable; None is
        :data:`PATIENCE`.
    :raises UnusableConnection: Airflow has no such connection, or its fields are refused.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"  # as Airflow's own commands do: look into the database, too
    try:
        async with ConsulHook(args.conn_id).open_view(patience=patience or PATIENCE) as view:
            yield view
    except AirflowNotFoundException as error:
        raise UnusableConnection(
            f"Airflow has no connection {args.conn_id!r}; add it in its UI or by AIRFLOW_CONN_{args.conn_id.upper()}, "
            f"or name another by --conn-id"
        ) from error
