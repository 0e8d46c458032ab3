"""docker-compose.yml and the files of its images, as tests look at them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
MAKE_ENV = ROOT / "docker" / "make-env.sh"
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@cache
def read_services() -> dict[str, dict[str, Any]]:
    """The services by name; variables stand as they are written."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def services_of(image: str) -> dict[str, dict[str, Any]]:
    """The services whose image has this name."""
    return {name: each for name, each in read_services().items() if each["image"].startswith(f"{image}:")}


def instructions_of(dockerfile: Path, name: str) -> list[list[str]]:
    """The words of each instruction of that name: ``COPY a b c`` gives ``["a", "b", "c"]``."""
    lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
    return [words[1:] for words in map(str.split, lines) if words[:1] == [name]]


def copied_paths(dockerfile: Path) -> list[str]:
    """The paths that an image takes from the checkout."""
    found = []
    for words in instructions_of(dockerfile, "COPY"):
        if not words[0].startswith("--from="):
            found += [word for word in words[:-1] if not word.startswith("--")]
    return found


def make_env(file: Path) -> dict[str, str]:
    """What docker/make-env.sh writes into a file that is not there yet."""
    subprocess.run([MAKE_ENV, file], check=True, capture_output=True)
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
