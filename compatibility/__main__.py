"""`make compatibility`: resolve the wheel as others do, install it into empty environments, and run a Dag there.

Needs the package index, a Consul, and Python 3.11 and 3.12. Prints a line for each check; exits with 1 when one failed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from time import monotonic

from compatibility.installer import ROOT, CommandFailed, Installer, build_wheel, run
from demo.consul_binary import find_consul

CONSTRAINTS = {
    file.stem.removeprefix("airflow-"): file for file in sorted(ROOT.glob("requirements/constraints/airflow-*.txt"))
}
CONSTRAINED_PYTHON = "3.12"  # what the constraint files are for
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# Beside the lower bounds, what was current when the oldest Airflow was: it breaks with some later packages.
LOWEST = (
    "--resolution=lowest-direct",
    "--exclude-newer=2026-06-01",
    "--exclude-newer-package=py-consul=2026-11-01",
)
EXAMPLE = ROOT / "docs" / "how-to" / "test-dags"
IMPORT_ALL = """
import importlib, pkgutil, sys
import airflow_provider_chefconsul as face
for each in pkgutil.walk_packages(face.__path__, f"{face.__name__}."):
    if each.name not in sys.argv:
        importlib.import_module(each.name)
for name in face.__all__:
    getattr(face, name)
"""
NEEDS_SSH = "airflow_provider_chefconsul.nudge.ssh"


def main() -> int:
    """Make all checks."""
    uv = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        installer = Installer(uv, build_wheel(directory / "dist"))
        ended = [*_resolve_all(installer), *_try_all(installer, directory)]
    return 0 if all(ended) else 1


def _resolve_all(installer: Installer) -> list[bool]:
    ended = []
    for version, file in CONSTRAINTS.items():
        for extras in [], ["ssh"]:
            wanted = [f"apache-airflow=={version}", installer.require(*extras)]
            label = f"constraints of Airflow {version}{', [ssh]' if extras else ''}: resolves"
            ended.append(_check(label, installer.resolve, wanted, "--constraint", file, python=CONSTRAINED_PYTHON))
    for python in PYTHONS:
        wanted = [installer.require("ssh", "testing")]
        ended.append(_check(f"newest versions, Python {python}: resolves", installer.resolve, wanted, python=python))
    return ended


def _try_all(installer: Installer, directory: Path) -> list[bool]:
    """The oldest and the newest constraints, without SSH, and the lower bounds, with it."""
    ended = []
    for version in (min(CONSTRAINTS), max(CONSTRAINTS)):
        wanted = [f"apache-airflow=={version}", installer.require("testing")]
        options = ["--constraint", CONSTRAINTS[version]]
        label = f"constraints of Airflow {version}: imports, and runs a Dag"
        where = {"python": CONSTRAINED_PYTHON, "unneeded": NEEDS_SSH}
        ended.append(_check(label, _try, installer, directory / version, wanted, options, **where))
    label = "lower bounds, [ssh]: imports, and runs a Dag"
    ended.append(_check(label, _try_lowest, installer, directory / "lowest"))
    return ended


def _try_lowest(installer: Installer, directory: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    pins = directory.with_suffix(".txt")
    pins.write_text("\n".join(installer.resolve(direct, *LOWEST, python=PYTHONS[0])))
    wanted = [installer.require("ssh", "testing")]
    _try(installer, directory, wanted, ["--constraint", pins], python=PYTHONS[0])


def _try(
    installer: Installer,
    directory: Path,
    requirements: Sequence[str],
    options: Sequence[str | Path],
    *,
    python: str,
    unneeded: str = "",
) -> None:
    """Install into an empty environment, import all modules but the unneeded one, and run the documented test."""
    program = installer.install(directory / "venv", requirements, *options, python=python)
    work = Path(shutil.copytree(EXAMPLE, directory / "work"))
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AIRFLOW_HOME": str(directory / "airflow"),
        "CONSUL_BINARY": str(find_consul()),
    }
    run(program, "-c", IMPORT_ALL, unneeded, cwd=work, **variables)
    run(program, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=work, **variables)


def _check(label: str, check: Callable[..., object], *arguments: object, **options: object) -> bool:
    """Make a check, and print how it ended."""
    begun = monotonic()
    try:
        check(*arguments, **options)
    except CommandFailed as error:
        print(f"FAILED  {label}\n{error}", flush=True)
        return False
    print(f"ok      {label} ({monotonic() - begun:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
