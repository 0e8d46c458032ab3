"""Running a command: its event loop, its errors, and its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_chefconsul.cli.connection import find_in_variables, parse_url
from airflow_provider_chefconsul.cli.display.output import AIRFLOW_PROGRAM, Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode, exit_code_of
from airflow_provider_chefconsul.cli.option import find_option
from airflow_provider_chefconsul.exceptions import ChefConsulError, UnusableConnection

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.model.desired import DesiredState
    from airflow_provider_chefconsul.domain.model.lease import Lease
    from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
    from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd

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
    output = Output(is_json=getattr(args, "output", "table") == "json", program=_program(args))
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


def _program(args: Namespace) -> str:
    """What was called: ``chefconsul`` or, which sets nothing, ``airflow chefconsul``."""
    return getattr(args, "program", AIRFLOW_PROGRAM)


def _log_to_standard_error() -> None:
    """Send Airflow's log to standard error, away from scripts; Airflow 3.3 does so itself."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


async def _await(command: Awaitable[ExitCode]) -> ExitCode:
    """Await a command, which SIGTERM cancels, so that it restores the terminal and removes simulated nodes."""
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await command


@asynccontextmanager
async def open_view(args: Namespace, *, patience: timedelta | None = None) -> AsyncGenerator[SharedView]:
    """The shared data view of the Consul that ``--url`` or ``--conn-id`` names.

    :param patience: how long reads and writes are retried while Consul is unavailable; default: :data:`PATIENCE`.
    :raises UnusableConnection: there is no such connection, or its fields are refused.
    """
    from airflow_provider_chefconsul.consul.http.client import ConsulClient
    from airflow_provider_chefconsul.consul.view import SharedView

    patience = patience or PATIENCE
    async with ConsulClient(await _find_settings(args), retry_for=patience) as client:
        yield SharedView(client, patience=patience, history_kept=_history_kept())


async def look_for_orphans(
    args: Namespace,
    view: SharedView,
    tiers: Mapping[str, DesiredState | Unreadable | None],
    lease: Lease | Unreadable | None,
) -> dict[str, RunEnd]:
    """By tier with a canary that its Dag run has left out, how that ended; Airflow's own command line asks Airflow.

    :param tiers: by tier, what is desired of it.
    :param lease: the environment's, if any.
    """
    from airflow_provider_chefconsul.consul.orphan import find_orphans

    if _program(args) != AIRFLOW_PROGRAM:
        return await find_orphans(view, args.environment, tiers, lease, None)
    from airflow_provider_chefconsul.hooks.dag_runs import find_run_ends

    return await find_orphans(view, args.environment, tiers, lease, find_run_ends)


def _history_kept() -> int:
    """As many generations as the Dags on the same machine leave."""
    from airflow_provider_chefconsul.consul.plan import HISTORY_KEPT
    from airflow_provider_chefconsul.domain.parameter import parse_history_kept

    text = find_option("history_kept", os.environ)
    return HISTORY_KEPT if text is None else parse_history_kept(text)


async def _find_settings(args: Namespace) -> ConsulSettings:
    """The settings to use: Airflow's own command line asks Airflow, the other one only for what no variable says."""
    if args.url is not None:
        return parse_url("--url", args.url, os.environ)
    if _program(args) != AIRFLOW_PROGRAM and (found := find_in_variables(args.conn_id, os.environ)):
        return found
    try:
        from airflow_provider_chefconsul.cli.airflow_connection import ask_airflow
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "airflow":
            raise
        variable = f"AIRFLOW_CONN_{args.conn_id.upper()}"
        raise UnusableConnection(
            f"no connection {args.conn_id!r}: pass --url, or set {variable} or CONSUL_HTTP_ADDR"
        ) from error
    return await ask_airflow(args.conn_id)
