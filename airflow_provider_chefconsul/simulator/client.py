"""A stand-in for chef-client: to Consul it looks like a Chef run with the desired_state cookbook.

``python -m airflow_provider_chefconsul.simulator.client --node web-1 --tier web --environment demo``

Exit codes are chef-client's: 0 success, 1 any failure, 2 SIGINT (reported as interrupted, which is no failure), 3
SIGTERM before the desired state was read (later the run finishes first), 43 bad configuration.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT, Keys
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.kv import KeyValue, read_token
from airflow_provider_chefconsul.simulator.output import PREFIX, RunOutput
from airflow_provider_chefconsul.simulator.run import INTERRUPTED, SimulatedRun, Work

TERMINATED, BAD_CONFIGURATION = 3, 43
LONGEST_SECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Command:
    """What the command line asks for."""

    run: SimulatedRun
    lock: Path
    is_conditional: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(BAD_CONFIGURATION, f"{PREFIX}: ERROR: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once, and return the exit code."""
    command = _parse_command(arguments)
    run, output = command.run, command.run.output

    def terminate(_signum: int, _frame: FrameType | None) -> None:
        if not run.has_read:
            output.info("got SIGTERM before reading its desired state, stops")
            raise SystemExit(TERMINATED)
        output.info("got SIGTERM, finishes the run first, as Chef does")

    signal.signal(signal.SIGTERM, terminate)
    # A shell starts background jobs with SIGINT ignored; chef-client traps it anyway.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _run_lock(command.lock, output):
            return run.converge(if_needed=command.is_conditional)
    except KeyboardInterrupt:
        output.info("got SIGINT before the run began, stops")
        return INTERRUPTED
    except InvalidInput as error:
        output.error(str(error))
        return BAD_CONFIGURATION


@contextmanager
def _run_lock(path: Path, output: RunOutput) -> Iterator[None]:
    """Hold the node's run lock; as with Chef, a second run waits for it, and reads the state only then."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InvalidInput(f"cannot create the run lock in --state-dir: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            output.info(f"waits for the run lock {path}, another run is in progress")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parse_command(arguments: Sequence[str] | None) -> Command:
    """Parse the command line; exits with 43 when it is not valid, before anything is asked of Consul."""
    parser = _Parser(
        prog="python -m airflow_provider_chefconsul.simulator.client",
        description="Run once as chef-client would, towards Consul; nothing on this machine is changed.",
        allow_abbrev=False,
        # With a width of its own, argparse does not load shutil to ask for the terminal's: 3 ms of 100.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("--node", required=True, help="the node's name in Consul")
    parser.add_argument("--tier", required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--consul", default="http://127.0.0.1:8500", metavar="URL", help="default: %(default)s")
    parser.add_argument("--root", default=DEFAULT_ROOT, help="root of the shared data view, default: %(default)s")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with the ACL token")
    parser.add_argument("--namespace", metavar="NAME", help="namespace of Consul Enterprise")
    parser.add_argument("--partition", metavar="NAME", help="admin partition of Consul Enterprise")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long the run works, default: %(default)s")
    outcome = parser.add_mutually_exclusive_group()
    outcome.add_argument("--fail", action="store_true", help="fail after the work")
    outcome.add_argument("--hang", action="store_true", help="report running, then never end")
    parser.add_argument("--if-needed", action="store_true", help="skip the run when its assignment has succeeded")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where the run lock lies, default: below TMPDIR")
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to ask a Consul that does not answer for the desired state, default: %(default)s",
    )
    options = parser.parse_args(arguments)
    try:
        return _build_command(options)
    except InvalidInput as error:
        parser.error(str(error))


def _build_command(options: argparse.Namespace) -> Command:
    for name in ("seconds", "patience"):
        if not 0 <= getattr(options, name) <= LONGEST_SECONDS:
            raise InvalidInput(f"--{name} must be a number of seconds from 0 to {LONGEST_SECONDS}")
    tenancy = {
        name.capitalize(): check_name(name, value)
        for name in ("namespace", "partition")
        if (value := getattr(options, name)) is not None
    }
    run = SimulatedRun(
        KeyValue(options.consul, read_token(options.token_file) if options.token_file else None, tenancy),
        Keys(options.root),
        environment=options.environment,
        tier=options.tier,
        node=options.node,
        work=Work(options.seconds, is_failing=options.fail, is_hanging=options.hang),
        patience=options.patience,
    )
    below_tmp = Path(os.environ.get("TMPDIR") or "/tmp", f"chefconsul-simulator-{os.getuid()}")  # noqa: S108
    return Command(run, (options.state_dir or below_tmp) / f"{options.node}.run.lock", options.if_needed)


if __name__ == "__main__":
    sys.exit(main())
