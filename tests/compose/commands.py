"""Checks that commands, scripts and variables are ones that their programs know. Each gives a list of complaints."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path

import airflow
import click
import yaml
from cryptography.fernet import Fernet

from demo.consul_binary import find_consul
from tests.compose.project import Instruction, Project

# Of the start script of Airflow's image.
IMAGE_VARIABLES = {"DUMB_INIT_SETSID"}
IMAGE_PROGRAMS = {"postgres": {"pg_isready"}, "redis": {"redis-cli"}}


def airflow_commands_exist(project: Project) -> list[str]:
    """What containers of Airflow run, and what tells their health, is something that Airflow's command line takes."""
    found = []
    for name, each in project.airflow_services.items():
        commands = [["airflow", *shlex.split(each["command"])], _health(each.get("healthcheck"))]
        found += [f"{name}: {said}" for command in commands if command for said in _complain(command)]
    return found


def health_addresses_are_served(project: Project) -> list[str]:
    """A health check by URL asks the port and the path that the component serves."""
    from airflow.configuration import conf

    found = []
    ports = {
        "api-server": conf.getint("api", "port"),
        "scheduler": conf.getint("scheduler", "scheduler_health_check_server_port"),
    }
    paths = {"api-server": _api_paths(), "scheduler": {"/health"}}
    for name, each in project.airflow_services.items():
        for port, path in re.findall(r"http://localhost:(\d+)(/\S*)", " ".join(_health(each.get("healthcheck")))):
            component = each["command"]
            if int(port) != ports.get(component) or path not in paths[component]:
                found.append(f"{name}: {component} does not serve {path} at {port}")
    return found


def airflow_variables_are_options(project: Project) -> list[str]:
    """Each variable of Airflow is an option of it or of an installed provider, or a connection that can be read."""
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk import Connection

    ProvidersManager().initialize_providers_configuration()
    found = []
    for name, each in project.airflow_services.items():
        for variable, value in each["environment"].items():
            if option := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable):
                section, key = option[1].lower(), option[2].lower()
                if key not in conf.configuration_description.get(section, {}).get("options", {}):
                    found.append(f"{name}: Airflow has no option [{section}] {key}")
            elif variable.startswith("AIRFLOW_CONN_"):
                connection = Connection.from_json(value)
                if connection.conn_type != "consul" or connection.port is None:
                    found.append(f"{name}: {variable} is no connection to Consul")
            elif variable not in IMAGE_VARIABLES:
                found.append(f"{name}: nobody reads {variable}")
    return found


def classes_exist(project: Project) -> list[str]:
    """A value that is the path of a class can be imported."""
    values = {value for each in project.airflow_services.values() for value in each["environment"].values()}
    return [said for value in sorted(values) if re.fullmatch(r"airflow(\.\w+)+", value) for said in _import(value)]


def consul_commands_exist(project: Project) -> list[str]:
    """The flags of the servers are flags of `consul agent`; their health checks are commands of Consul."""
    found = []
    for name, each in project.consul_servers.items():
        words = shlex.split(each["command"])
        if words[0] != "agent":
            found.append(f"{name}: the image is started with {words[0]}")
        flags = {word.split("=")[0] for word in words[1:]}
        found += [f"{name}: consul agent has no {flag}" for flag in sorted(flags - _consul_flags("agent"))]
        program, *command = _health(each["healthcheck"])
        if program != "consul" or not _consul_flags(*command):
            found.append(f"{name}: there is no {' '.join([program, *command])}")
    return found


def other_commands_exist(project: Project) -> list[str]:
    """Health checks of the stores are programs of their images; nothing else has a command of its own."""
    found = []
    for name, programs in IMAGE_PROGRAMS.items():
        command = _health(project.services[name]["healthcheck"])
        if command[0] not in programs:
            found.append(f"{name}: its image has no {command[0]}")
    return found


def scripts_can_run(project: Project) -> list[str]:
    """Scripts are executable and parse; what nodes start with, and what tells their health, is copied to the PATH.

    So are the files that scripts look for among the configuration.
    """
    scripts = [
        path for path in (project.root / "docker").rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!")
    ]
    found = []
    for path in scripts:
        if not os.access(path, os.X_OK):
            found.append(f"{path.name} is not executable")
        done = subprocess.run(["sh", "-n", path], capture_output=True, text=True, check=False)
        found += [f"{path.name}: {done.stderr.strip()}" for _ in (1,) if done.returncode]
    lines = project.dockerfiles["docker/node.Dockerfile"]
    on_path, configuration = _copied_to(lines, "/usr/local/bin/"), _copied_to(lines, "/etc/chefconsul/")
    entry = [line.words[0] for line in lines if line.name == "ENTRYPOINT"]
    health = [_health(each["healthcheck"])[0] for each in project.nodes.values()]
    found += [f"the image of nodes has no {name}" for name in sorted({*entry, *health} - on_path)]
    for path in scripts:
        wanted = set(re.findall(r"\$NODE_CONFIG/([\w.-]+)", path.read_text()))
        found += [f"{path.name} looks for {name}, which is not copied" for name in sorted(wanted - configuration)]
    return found + [f"{path.name} is not copied" for path in scripts
                    if path.parent.name == "node" and path.name not in on_path]  # fmt: skip


def script_variables_are_set(project: Project) -> list[str]:
    """What the nodes' scripts and Chef's configuration read is set by the image, or by each node's service."""
    image = {
        word.split("=")[0] for line in project.dockerfiles["docker/node.Dockerfile"] if line.name == "ENV"
        for word in line.words
    }  # fmt: skip
    used = {}
    for path in (project.root / "docker" / "node").iterdir():
        names = re.findall(r"\$\{?([A-Z_]+)|ENV\.fetch\('(\w+)'\)", path.read_text())
        used |= {shell or ruby: path.name for shell, ruby in names}
    found = []
    for name, each in project.nodes.items():
        given = image | set(each["environment"])
        found += [f"{name}: {file} reads {variable}, which nobody sets" for variable, file in used.items()
                  if variable not in given]  # fmt: skip
        found += [f"{name}: nothing reads {variable}" for variable in each["environment"] if variable not in used]
    return found + [f"nothing reads {variable} of the image" for variable in sorted(image - set(used))]


def made_secrets_are_accepted(project: Project) -> list[str]:
    """Fernet takes its key; the password can stand in a URL. Consul's key has a test of its own."""
    (project.root / ".made").unlink(missing_ok=True)
    made = project.make_env(project.root / ".made")
    found = [] if re.fullmatch(r"[\w=-]+", made["POSTGRES_PASSWORD"]) else ["the password cannot stand in a URL"]
    try:
        Fernet(made["AIRFLOW_FERNET_KEY"])
    except ValueError as error:
        found.append(str(error))
    return found


def _copied_to(lines: list[Instruction], directory: str) -> set[str]:
    """The names of the files that an image has in a directory."""
    return {
        Path(word).name for line in lines if line.name == "COPY" and line.words[-1] == directory
        for word in line.words[:-1]
    }  # fmt: skip


def _health(check: dict | None) -> list[str]:
    """The words of a health check's command; of its shell's, where it has one."""
    if check is None:
        return []
    kind, *words = check["test"]
    return shlex.split(words[0].replace("$$", "$")) if kind == "CMD-SHELL" else words


def _complain(command: list[str]) -> list[str]:
    """Whether Airflow's own parser, or Celery's, takes a command; curl is in the image."""
    match command:
        case ["airflow", *arguments]:
            from airflow.cli.cli_parser import get_parser

            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                    get_parser().parse_args(arguments)
            except SystemExit:
                return [f"airflow {' '.join(arguments)}: {said.getvalue().splitlines()[-1]}"]
            return []
        case ["celery", "--app", path, *arguments]:
            from celery.bin.celery import celery

            try:
                context = celery.make_context("celery", arguments.copy())
                _, command_of_celery, rest = celery.resolve_command(context, arguments)
                command_of_celery.make_context(arguments[0], rest, parent=context)
            except click.ClickException as error:
                return [f"celery {' '.join(arguments)}: {error.format_message()}"]
            return _import(path)
        case ["curl", *_]:
            return []
    return [f"there is no {command[0]} in the image"]


def _import(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Airflow imports
            getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        return [str(error)]
    return []


@cache
def _api_paths() -> set[str]:
    specification = Path(airflow.__file__).parent / "api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
    return set(yaml.load(specification.read_text(), Loader=yaml.CSafeLoader)["paths"])


@cache
def _consul_flags(*command: str) -> set[str]:
    """The flags that Consul's own help lists; none for a command that it does not have."""
    done = subprocess.run([find_consul(), *command, "-h"], capture_output=True, text=True, check=False)
    is_known = f"Usage: consul {' '.join(command)}" in done.stdout + done.stderr
    return set(re.findall(r"^ *(-[a-z-]+)", done.stdout + done.stderr, flags=re.MULTILINE)) if is_known else set()
