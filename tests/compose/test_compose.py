"""docker-compose.yml, as far as `docker compose config` cannot tell: what it names exists, and its programs take it."""

from __future__ import annotations

import json
import re
import shlex

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.compose import programs
from tests.compose.project import COMPOSE, DOCKERFILES, ROOT, copied_paths, read_services, services_of

AIRFLOW, CONSUL = services_of("airflow-chefconsul"), services_of("hashicorp/consul")
NOT_OF_AIRFLOW = {"DUMB_INIT_SETSID"}  # a variable of the image's start script


def health_check(service: dict) -> list[str]:
    """The words of a service's health check, without the shell around it; none where it has no check."""
    kind, *words = service.get("healthcheck", {}).get("test", ["NONE"])
    return shlex.split(words[0].replace("$$", "$")) if kind == "CMD-SHELL" else words


def commands() -> set[tuple[str, ...]]:
    """What containers of Airflow and Consul run, and what tells their health."""
    found = {("airflow", *shlex.split(each["command"])) for each in AIRFLOW.values()}
    found |= {("consul", *shlex.split(each["command"])) for each in CONSUL.values()}
    checks = {tuple(health_check(each)) for each in (AIRFLOW | CONSUL).values()}
    return found | {check for check in checks if check and check[0] != "curl"}


def health_addresses() -> set[tuple[str, int, str]]:
    """Component, port and path of each health check by URL."""
    return {
        (each["command"], int(port), path)
        for each in AIRFLOW.values()
        for port, path in re.findall(r"http://localhost:(\d+)(/\S*)", " ".join(health_check(each)))
    }


def test_file_follows_the_schema():
    """The schema of the Compose specification."""
    jsonschema.validate(yaml.safe_load(COMPOSE.read_text()), get_builtin_schema("vendor.compose-spec"))


def test_files_exist():
    """Host paths that are mounted, Dockerfiles, and what these copy, which .dockerignore must not keep back."""
    services = read_services().values()
    mounted = {volume.split(":")[0] for each in services for volume in each.get("volumes", ())}
    built = {each["build"]["dockerfile"] for each in services if "build" in each}
    copied = {path for dockerfile in DOCKERFILES for path in copied_paths(dockerfile)}
    named = {path for path in mounted if path.startswith(".")} | built | copied
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored, "whatever is not named reaches the builder, .env too"
    let_through = tuple(line[1:] for line in ignored if line.startswith("!"))
    assert [path for path in sorted(copied) if not path.startswith(let_through)] == []


def test_ports_are_published_to_this_machine_only():
    """Consul has no ACLs there, and Airflow its simplest users."""
    ports = [str(port) for each in read_services().values() for port in each.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_command_exists(words: tuple[str, ...]):
    """With all its options."""
    assert programs.is_command(list(words))


def test_health_addresses_are_served():
    """By the component that is asked."""
    assert [address for address in health_addresses() if not programs.is_health_address(*address)] == []


def test_variables_are_options():
    """Each is an option of Airflow, or a connection; a value that is the path of a class can be imported."""
    given = {pair for each in AIRFLOW.values() for pair in each["environment"].items()}
    options = {(name, value) for name, value in given if name not in NOT_OF_AIRFLOW | {"AIRFLOW_CONN_CONSUL_DEFAULT"}}
    assert [name for name, _ in sorted(options) if not programs.is_option(name)] == []
    classes = {value for _, value in options if re.fullmatch(r"airflow(\.\w+)+", value)}
    assert [path for path in classes if not programs.is_importable(path)] == []
    (connection,) = [value for name, value in given if name == "AIRFLOW_CONN_CONSUL_DEFAULT"]
    assert json.loads(connection) == {"conn_type": "consul", "host": "consul", "port": 8500, "schema": "http"}


@pytest.mark.parametrize(
    "command",
    [
        "airflow celery work",
        "airflow jobs check --type TriggererJob",
        "celery --app airflow.providers.celery.executors.celery.app inspect ping",
        "celery --app airflow.providers.celery.executors.celery_executor.app inspekt ping",
        "celery --app airflow.providers.celery.executors.celery_executor.app inspect ping --node x",
        "consul agent -name=consul-2",
        "consul catalogue nodes",
    ],
)
def test_unknown_command_is_found(command: str):
    """An unknown word or option of each program is no command."""
    assert not programs.is_command(shlex.split(command))


def test_what_is_misnamed_is_found():
    """An option of another section, a path that another component serves, a class that does not exist."""
    assert not programs.is_option("AIRFLOW__API__JWT_SECRET")
    assert not programs.is_option("AIRFLOW_CORE_EXECUTOR")
    assert not programs.is_health_address("scheduler", 8080, "/health")
    assert not programs.is_health_address("api-server", 8080, "/health")
    assert not programs.is_importable("airflow.models.NoSuchModel")
