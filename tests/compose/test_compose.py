"""docker-compose.yml is sound, and each check finds what it is for."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import pytest

from tests.compose import commands, references, safety
from tests.compose.mutations import MUTATIONS, Check
from tests.compose.project import Project


def checks_of(*modules: ModuleType) -> list[Check]:
    """The checks that modules define."""
    return [
        found for module in modules for name, found in inspect.getmembers(module, inspect.isfunction)
        if found.__module__ == module.__name__ and not name.startswith("_")
    ]  # fmt: skip


CHECKS = checks_of(references, safety, commands)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the project's Compose files, beside links to everything else."""
    return Project.copy(tmp_path / "project")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_check_has_no_complaint(check: Check, project: Project):
    """The file that users start is sound."""
    assert check(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "check", "said"), MUTATIONS, ids=[f"{each[3].__name__}-{each[4]}" for each in MUTATIONS]
)
def test_check_finds_what_it_is_for(file: str, old: str, new: str, check: Check, said: str, project: Project):
    """With one thing wrong, the check says so."""
    path = project.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert [complaint for complaint in check(project) if said in complaint]


def test_each_check_is_shown_to_fail():
    """No check is without an example of what it finds."""
    assert {check.__name__ for check in CHECKS} == {mutation[3].__name__ for mutation in MUTATIONS}


def test_script_that_is_not_executable_is_found(project: Project):
    """Git keeps the mode; a lost one would only show when a container starts."""
    (project.root / "docker/node/start-node").chmod(0o644)
    assert commands.scripts_can_run(project) == ["start-node is not executable"]
