"""Checks of what would go wrong quietly: secrets, ports, tags, health, restarts. Each gives a list of complaints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.compose.project import Project

SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|(?<!ID_)KEY|ENCRYPT", re.IGNORECASE)
REFERENCE = re.compile(r"\$\{\w+(:\?[^}]*)?\}")
# What docker/make-env.sh writes looks so, and what people paste.
RANDOM_TEXT = re.compile(r"(?=[A-Za-z_+/-]*\d)(?=[0-9a-z_+/-]*[A-Z])[A-Za-z0-9_+/-]{24,}=*|[0-9a-f]{32,}")


def holds_no_secret(project: Project) -> list[str]:
    """Whatever is named like a secret is a variable, and nothing looks like one."""
    found = []
    for path, name, value in _settings(project.compose):
        if SECRET_NAME.search(name) and REFERENCE.sub("", value):
            found.append(f"{path} has a secret in it")
        if re.search(r"://[^/@\s]*:[^/@\s]+@", REFERENCE.sub("", value)):
            found.append(f"{path} has a password in its URL")
        if re.search(r'"(encrypt|password|token)": *"[^"]+"', REFERENCE.sub("", value)):
            found.append(f"{path} has a secret in it")
    files = [project.root / "docker-compose.yml", *(project.root / "docker").rglob("*")]
    for file in files:
        if file.is_file():
            found += [f"{file.name} has {text[:6]}… in it, which looks like a secret"
                      for text in RANDOM_TEXT.findall(REFERENCE.sub("", file.read_text()))]  # fmt: skip
    return found


def images_are_pinned(project: Project) -> list[str]:
    """Each image, and each that one is built from, has the tag of one release."""
    images = {f"service {name}": each["image"] for name, each in project.services.items()}
    for file, instructions in project.dockerfiles.items():
        images |= {f"{file}: FROM {each.words[0]}": each.words[0] for each in instructions if each.name == "FROM"}
    return [
        f"{where}: {image} is not one release" for where, image in images.items()
        if not re.fullmatch(r"[a-z0-9./-]+:[a-z0-9.-]*(\d+\.\d+|\d{8})[a-z0-9.-]*", image)
    ]  # fmt: skip


def built_images_say_what_they_hold(project: Project) -> list[str]:
    """The tag of an image that is built is the release of what it is built around."""
    found = []
    for name, each in project.services.items():
        if "build" in each:
            release = each["image"].split(":")[1]
            froms = [line.words[0] for line in project.dockerfiles[each["build"]["dockerfile"]] if line.name == "FROM"]
            if not any(image.split(":")[1].split("-")[0] == release for image in froms):
                found.append(f"{name}: {each['image']} is built from {', '.join(froms)}")
    return found


def consul_is_one_version(project: Project) -> list[str]:
    """Servers and nodes run the same Consul."""
    images = {each["image"] for each in project.consul_servers.values()} | {
        line.words[0] for lines in project.dockerfiles.values() for line in lines
        if line.name == "FROM" and line.words[0].startswith("hashicorp/consul:")
    }  # fmt: skip
    return [] if len(images) == 1 else [f"there are several Consuls: {', '.join(sorted(images))}"]


def conditions_can_be_met(project: Project) -> list[str]:
    """Services wait for services that there are, that have a health check or that end; none waits for itself."""
    found = []
    for name, each in project.services.items():
        for other, needs in each.get("depends_on", {}).items():
            if other == name or other not in project.services:
                found.append(f"{name} waits for {other}")
            elif needs["condition"] == "service_healthy" and "healthcheck" not in project.services[other]:
                found.append(f"{name} waits for the health of {other}, which has no check")
            elif (needs["condition"] == "service_completed_successfully"
                  and project.services[other]["restart"] not in {"no", "on-failure"}):  # fmt: skip
                found.append(f"{name} waits for the end of {other}, which is started again")
            elif needs["condition"] == "service_started":
                found.append(f"{name} waits for the start of {other}, which says nothing")
    return found


def services_are_kept_up(project: Project) -> list[str]:
    """Each is started again, and each that does not end has a health check."""
    found = [f"{name} is not restarted" for name, each in project.services.items() if "restart" not in each]
    ends = {
        other for each in project.services.values() for other, needs in each.get("depends_on", {}).items()
        if needs["condition"] == "service_completed_successfully"
    }  # fmt: skip
    return found + [
        f"{name} has no health check" for name, each in project.services.items()
        if "healthcheck" not in each and name not in ends
    ]  # fmt: skip


def dear_health_checks_are_rare(project: Project) -> list[str]:
    """A check that starts a command line of Airflow or Celery costs 3 s of CPU, and far more time on a busy machine."""
    found = []
    for name, each in project.airflow_services.items():
        check = each.get("healthcheck")
        if check is None or check["test"][1] == "curl":
            continue
        interval, timeout = _seconds(check["interval"]), _seconds(check["timeout"])
        if interval < 60 or timeout < 45:
            found.append(f"{name} is checked every {interval} s for {timeout} s")
    return found


def ports_are_on_loopback(project: Project) -> list[str]:
    """No port is published to others than this machine, none twice, and the stores of Airflow not at all."""
    found, seen = [], set()
    for name, each in project.services.items():
        if each.get("network_mode") or each.get("privileged"):
            found.append(f"{name} is not kept apart from the machine")
        for port in each.get("ports", ()):
            if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)):
                found.append(f"{name} publishes {port} to others")
            if port in seen:
                found.append(f"{name} publishes {port} again")
            seen.add(port)
    return found


def stores_are_apart_from_nodes(project: Project) -> list[str]:
    """Nodes and Consul servers do not reach Airflow's database and broker, and their network reaches nothing else."""
    found = []
    for store in ("postgres", "redis"):
        networks = set(project.services[store]["networks"])
        found += [f"{store} can be reached over {name}" for name in networks
                  if not (project.compose["networks"][name] or {}).get("internal")]  # fmt: skip
        others = {**project.nodes, **project.consul_servers}
        found += [f"{name} reaches {store}" for name, each in others.items() if networks & set(each["networks"])]
    return found


def _seconds(duration: str) -> int:
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration)
    assert match is not None, duration
    return 60 * int(match[1] or 0) + int(match[2] or 0)


def _settings(value: Any, path: str = "", name: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, name and text of each scalar; of a list of ``NAME=value``, too."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _settings(each, f"{path}.{key}" if path else str(key), str(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            key, equals, rest = str(each).partition("=")
            is_pair = bool(equals) and key.isidentifier()
            yield from _settings(rest if is_pair else each, f"{path}[{index}]", key if is_pair else name)
    elif value is not None:
        yield path, name, str(value)
