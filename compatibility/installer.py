"""The wheel, and uv: the installer that resolves requirements without installing them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


class CommandFailed(Exception):
    """A command failed; the message is the end of what it printed."""


def run(*command: str | Path, stdin: str = "", cwd: Path = ROOT, **variables: str) -> str:
    """Run a command, and return what it prints.

    :param variables: its environment, where it is not to have this process's own.
    :raises CommandFailed: it exited with another code than zero.
    """
    done = subprocess.run(
        [str(each) for each in command], input=stdin, cwd=cwd, env=variables or None, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise CommandFailed((done.stdout + done.stderr).strip()[-2000:])
    return done.stdout


def build_wheel(directory: Path) -> Path:
    """Build the wheel of this checkout."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT)
    (wheel,) = directory.glob("*.whl")
    return wheel


def find_python(version: str) -> Path:
    """A Python of that minor version, among those on the PATH and those that pyenv has installed.

    :raises CommandFailed: there is none.
    """
    if version == "{}.{}".format(*sys.version_info[:2]):
        return Path(sys.executable)
    for program in sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"), reverse=True):
        return program
    if found := shutil.which(f"python{version}"):
        return Path(found)
    raise CommandFailed(f"no Python {version} on the PATH")


@dataclass(frozen=True)
class Installer:
    """Resolves and installs with uv.

    :param uv: the program.
    :param wheel: what to install.
    """

    uv: Path
    wheel: Path

    def require(self, *extras: str) -> str:
        """The requirement of the wheel with these extras."""
        name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
        return f"{name}{'[' + ','.join(extras) + ']' if extras else ''} @ {self.wheel.as_uri()}"

    def resolve(self, requirements: Sequence[str], *options: str | Path, python: str) -> list[str]:
        """The versions, as ``name==version``, that meet the requirements for a Python; wheels only.

        :raises CommandFailed: there are none.
        """
        found = run(
            self.uv, "pip", "compile", "--quiet", "--no-annotate", "--no-header", "--only-binary=:all:",
            f"--python-version={python}", *options, "-", stdin="\n".join(requirements),
        )  # fmt: skip
        return found.splitlines()

    def install(self, directory: Path, requirements: Sequence[str], *options: str | Path, python: str) -> Path:
        """Install the requirements into a new environment, and return its Python.

        :raises CommandFailed: they cannot be installed, or there is no such Python.
        """
        run(self.uv, "venv", "--quiet", "--python", find_python(python), directory)
        program = directory / "bin" / "python"
        run(self.uv, "pip", "install", "--quiet", "--python", program, *options, *requirements)
        return program
