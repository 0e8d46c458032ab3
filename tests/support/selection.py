"""What a test's fixtures imply: whether it needs a server, and with which tests it shares a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# What starts a program, or makes the database of an Airflow. Every fixture that does so rests on one of these.
SERVERS = {"airflow", "airflow_database", "chef", "consul_binary", "prometheus", "sshd"}
# The folders whose tests start programs without a fixture.
FOLDERS = {"compose", "cookbooks", "demo"}
# An Airflow's database and API take a process ten seconds to make: so many do, and share the files that need them.
DATABASES = 3
# The folders whose tests take longest; they begin, lest one is left when all else is done.
SLOW = {"testing", "cookbooks"}
TESTS = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, and sort them: groups first, then what is slow."""
    files = sorted({item.path for item in items if "airflow_database" in _fixtures(item)})
    databases = {file: f"airflow {number % DATABASES + 1}" for number, file in enumerate(files)}
    for item in items:
        if SERVERS & _fixtures(item).keys() or FOLDERS & _folders(item):
            item.add_marker(pytest.mark.server)
        if group := _group(item) or ("airflow_database" in _fixtures(item) and databases[item.path]):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[bool, ...]:
    """The slowest first."""
    fixtures = _fixtures(item).keys()
    is_alone = item.get_closest_marker("xdist_group") is None
    return "airflow" not in fixtures, "airflow_database" not in fixtures, is_alone, not SLOW & _folders(item)


def _group(item: pytest.Item) -> str | None:
    """Keeps tests that share expensive resources of a folder or a file in one process."""
    scopes = {definitions[-1].scope for definitions in _fixtures(item).values()}
    if "package" in scopes:
        return _relative(item.path.parent)
    return _relative(item.path) if "module" in scopes else None


def _fixtures(item: pytest.Item) -> dict[str, Any]:
    """All fixtures that a test uses, and their definitions."""
    found: dict[str, Any] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 pytest has no public way to ask
    return found


def _folders(item: pytest.Item) -> set[str]:
    return set(item.path.relative_to(TESTS).parts)


def _relative(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


class Grouping:
    """Makes `xdist_group` work: pytest-xdist 3.8 writes a test's group where pytest 9.2 does not read it."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the name of the group where xdist's scheduler reads it: behind the test's id."""
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
                item._id = type(item.id).parse(f"{item.nodeid}@{group.args[0]}")


def pytest_configure(config: pytest.Config) -> None:
    """Only workers that distribute tests by group have groups."""
    if getattr(config.option, "loadgroup", False):
        config.pluginmanager.register(Grouping())
