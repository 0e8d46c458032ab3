"""docker-compose.yml and the files of its images, as checks look at them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "docker", ".dockerignore")
MAKE_ENV = Path("docker/make-env.sh")


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile: ``COPY --from=a b c`` is COPY, {from: a}, (b, c)."""

    name: str
    options: dict[str, str]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """A checkout, or a copy of it that a test has changed."""

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Project:
        """A copy whose Compose files may be changed; all others are links to the real ones."""
        root.mkdir()
        for path in ROOT.iterdir():
            if path.name not in FILES and path.name != ".env":
                (root / path.name).symlink_to(path)
        for name in FILES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name)
            else:
                shutil.copy(ROOT / name, root / name)
        return cls(root)

    @cached_property
    def text(self) -> str:
        """The Compose file."""
        return (self.root / "docker-compose.yml").read_text()

    @cached_property
    def compose(self) -> dict[str, Any]:
        """The Compose file, parsed; variables stand as they are written."""
        return yaml.safe_load(self.text)

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services by name."""
        return self.compose["services"]

    @property
    def airflow_services(self) -> dict[str, dict[str, Any]]:
        """Those that run Airflow."""
        return self._built_by("docker/airflow.Dockerfile")

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """Those that Chef converges."""
        return self._built_by("docker/node.Dockerfile")

    @property
    def consul_servers(self) -> dict[str, dict[str, Any]]:
        """The Consul servers."""
        return {name: each for name, each in self.services.items() if each["image"].startswith("hashicorp/consul:")}

    @cached_property
    def dockerfiles(self) -> dict[str, list[Instruction]]:
        """The instructions of each Dockerfile."""
        return {
            str(path.relative_to(self.root)): list(_instructions(path.read_text()))
            for path in sorted((self.root / "docker").glob("*.Dockerfile"))
        }

    @property
    def copied(self) -> dict[str, list[str]]:
        """By Dockerfile, the paths that it takes from the checkout."""
        return {
            name: [source for each in found if each.name == "COPY" and "from" not in each.options
                   for source in each.words[:-1]]
            for name, found in self.dockerfiles.items()
        }  # fmt: skip

    def make_env(self, file: Path) -> dict[str, str]:
        """What docker/make-env.sh writes."""
        subprocess.run(["sh", self.root / MAKE_ENV, file], check=True, capture_output=True)
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)

    def _built_by(self, dockerfile: str) -> dict[str, dict[str, Any]]:
        return {
            name: each for name, each in self.services.items() if each.get("build", {}).get("dockerfile") == dockerfile
        }


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        words = shlex.split(re.sub(r"[\[\],]", " ", rest)) if rest.startswith("[") else shlex.split(rest)
        options = dict(word[2:].split("=", 1) for word in words if name == "COPY" and word.startswith("--"))
        if name:
            yield Instruction(name, options, tuple(words[len(options) :]))
