"""Whether Airflow, Celery and Consul take what docker-compose.yml gives them: what an upgrade of them can break."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path

import airflow
import click
import yaml

from demo.consul_binary import find_consul


def is_command(words: list[str]) -> bool:
    """Whether Airflow's own parser, Celery's, or Consul's help knows the command with its options."""
    match words:
        case ["airflow", *arguments]:
            return _airflow_takes(arguments)
        case ["celery", "--app", path, *arguments]:
            return is_importable(path) and _celery_takes(arguments)
        case ["consul", *arguments]:
            names = [word for word in arguments if not word.startswith("-")]
            options = {word.split("=")[0] for word in arguments if word.startswith("-")}
            known = _consul_options(*names)
            return known is not None and options <= known
    return False


def is_option(variable: str) -> bool:
    """Whether ``AIRFLOW__SECTION__KEY`` is an option of Airflow or of an installed provider."""
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    match = re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable)
    if match is None:
        return False
    section, key = match[1].lower(), match[2].lower()
    return key in conf.configuration_description.get(section, {}).get("options", {})


def is_health_address(component: str, port: int, path: str) -> bool:
    """Whether a component of Airflow answers there."""
    from airflow.configuration import conf

    if component == "api-server":
        return port == conf.getint("api", "port") and path in _api_paths()
    return (component, port, path) == (
        "scheduler",
        conf.getint("scheduler", "scheduler_health_check_server_port"),
        "/health",
    )


def is_importable(path: str) -> bool:
    """Whether ``package.module.name`` exists."""
    module, _, name = path.rpartition(".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Airflow imports
            return hasattr(import_module(module), name)
    except ImportError:
        return False


def _airflow_takes(arguments: list[str]) -> bool:
    from airflow.cli.cli_parser import get_parser

    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            get_parser().parse_args(arguments)
    except SystemExit:
        return False
    return True


def _celery_takes(arguments: list[str]) -> bool:
    from celery.bin.celery import celery

    try:
        context = celery.make_context("celery", arguments.copy())
        _, command, rest = celery.resolve_command(context, arguments)
        command.make_context(arguments[0], rest, parent=context)
    except click.ClickException:
        return False
    return True


@cache
def _api_paths() -> set[str]:
    specification = Path(airflow.__file__).parent / "api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
    return set(yaml.load(specification.read_text(), Loader=yaml.CSafeLoader)["paths"])


@cache
def _consul_options(*command: str) -> set[str] | None:
    """The options that Consul's help lists; None for a command that it does not have."""
    done = subprocess.run([find_consul(), *command, "-h"], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    is_known = f"Usage: consul {' '.join(command)}" in text
    return set(re.findall(r"^ *(-[a-z-]+)", text, flags=re.MULTILINE)) if is_known else None
