"""The official constraints of Airflow allow what the package requires; `make compatibility` resolves in full."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compatibility.__main__ import EXAMPLE

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "requirements" / "constraints").glob("airflow-*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Airflow's own parts are as it is; the others constraints do not know.
UNCONSTRAINED = {"apache-airflow-core", "apache-airflow-task-sdk", "py-consul"}


def read_pins(file: Path) -> dict[str, str]:
    """By package, the version that is pinned; Airflow's own is that of the file's name."""
    pins = dict(line.split("==") for line in file.read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins.items()} | {
        "apache-airflow": file.stem.removeprefix("airflow-")
    }


def contradictions(requirements: Iterable[str], pins: Mapping[str, str]) -> list[str]:
    """The requirements that a pin does not meet, and those that nothing is known about."""
    found = []
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name in UNCONSTRAINED:
            found += contradictions(requires(name) or [], pins)
        elif name not in pins or not requirement.specifier.contains(pins[name]):
            found.append(f"{requirement}, but {pins.get(name)}")
    return found


def test_oldest_and_newest_supported_minor_have_constraints():
    """Each is a release that the package says it supports."""
    assert [re.sub(r"\.\d+$", "", file.stem) for file in FILES] == ["airflow-3.2", "airflow-3.3"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_constraints_allow_what_we_require(file):
    """With and without SSH."""
    pins = read_pins(file)
    assert len(pins) > 100
    assert contradictions(PROJECT["dependencies"], pins) == []
    assert contradictions(PROJECT["optional-dependencies"]["ssh"], pins) == []


def test_contradiction_is_found():
    """As in the version before the extra, and where the client of Consul asks for something new."""
    pins = read_pins(FILES[0])
    older = "apache-airflow-providers-ssh>=7.0"
    assert contradictions([older], pins) == [f"{older}, but 5.0.0"]
    assert contradictions(["py-consul>=1.8"], pins | {"requests": "1.0"}) != []


def test_what_make_compatibility_runs_is_there():
    """The example of the pages, whose folder has moved before."""
    assert list(EXAMPLE.glob("test_*.py"))
    assert list(EXAMPLE.glob("dags/*.py"))
