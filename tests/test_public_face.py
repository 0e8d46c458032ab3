"""The names that Dag authors import from the package itself: which there are, how they are typed, what they cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import airflow_provider_chefconsul as face
from airflow_provider_chefconsul import _MODULES

PACKAGE = Path(face.__file__).parent
ROOT = PACKAGE.parent
LIGHT_ADAPTER = {"http", "http.blocking", "http.settings", "keys", "steady_clock"}
"""What is loaded of the adapter when a Dag is parsed."""
HEAVY = {"asyncssh", "consul", "fastapi", "httpx", "paramiko", "rich", "tenacity"}


def run(program: str) -> list[str]:
    """What a process of its own prints, which is how Dag files are parsed; words become a list."""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return found.stdout.split()


def loaded_by(statement: str, *, after: str = "import sys") -> set[str]:
    """The modules that a statement loads in a process of its own, those of the standard library apart."""
    shown = "print(*sorted(set(sys.modules) - before))"
    names = run(f"{after}\nimport sys; before = set(sys.modules)\n{statement}\n{shown}")
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def imports_from_us(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that is imported from this package, with its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(face.__name__):
            yield from ((alias.name, str(node.module)) for alias in node.names)


def test_importing_the_package_loads_nothing_else():
    """Every Airflow process finds the provider, and most of them never use it."""
    assert loaded_by("import airflow_provider_chefconsul; dir(airflow_provider_chefconsul)") == {face.__name__}


def test_values_need_no_airflow():
    """A policy and a state model are plain Python."""
    found = loaded_by("from airflow_provider_chefconsul import ChefConsulError, ConvergencePolicy, StateModel")
    assert f"{face.__name__}.domain.verdict.policy" in found
    assert {name.partition(".")[0] for name in found} == {face.__name__}


def test_names_load_nothing_that_only_a_task_needs():
    """What plans a write, judges or explains is loaded when a task runs, not when its Dag is parsed."""
    found = loaded_by("from airflow_provider_chefconsul import *")
    late = {
        "domain.event.change_event",
        "domain.event.convergence_event",
        "domain.explanation",
        "domain.model.report",
        "domain.verdict.convergence",
        "domain.verdict.standing",
        "domain.verdict.wait",
        "domain.write.act",
        "domain.write.decision",
        "domain.write.rollback",
        "nudge.target",
        "triggers.converged",
        "triggers.lease",
        "triggers.transition",
    }
    assert f"{face.__name__}.operators.transition" in found
    assert not {f"{face.__name__}.{name}" for name in late} & found


def test_only_assets_and_approvals_load_triggers():
    """Airflow's triggers take a quarter of the time that all names take; assets and approvals are built on them."""
    triggers = {"airflow.triggers.base", "airflow.providers.standard.operators.hitl"}
    without = ", ".join(set(_MODULES) - {"ApproveWaveOperator", "desired_state_changed", "tier_converged"})
    found = loaded_by(f"from airflow_provider_chefconsul import {without}")
    assert f"{face.__name__}.task_groups.wave_rollout" in found
    assert not triggers & found
    assert triggers <= loaded_by("from airflow_provider_chefconsul import *")


def test_names_load_no_adapter_and_start_nothing():
    """Parsing a Dag that uses all of them loads no library for HTTP or SSH, makes no thread and opens no socket."""
    guard = (
        "import threading, socket\n"
        "def refuse(*_): raise AssertionError('a socket at import')\n"
        "import airflow.sdk, airflow.triggers.base\n"
        "from airflow.sdk import BaseOperator, BaseSensorOperator, TaskGroup\n"
        "threads = threading.active_count()\n"
        "socket.socket.connect = refuse\n"
    )
    found = loaded_by(
        "from airflow_provider_chefconsul import *\n"
        "assert threading.active_count() == threads\n"
        f"assert {set(_MODULES)} <= set(globals())",
        after=guard,
    )
    adapter = f"{face.__name__}.consul."
    assert f"{face.__name__}.operators.chef" in found
    assert {name.removeprefix(adapter) for name in found if name.startswith(adapter)} <= LIGHT_ADAPTER
    assert not {name for name in found if name.partition(".")[0] in HEAVY}


@pytest.mark.parametrize("name", _MODULES)
def test_name_leads_to_its_definition(name):
    """Beside the face, a class has one path: the module that defines it."""
    found = getattr(face, name)
    assert (found.__module__, found.__name__) == (f"{face.__name__}.{_MODULES[name]}", name)
    assert getattr(face, name) is getattr(import_module(found.__module__), name)


def test_rolling_back_keeps_the_path_it_had():
    """Dags that import the class from beside the one that declares go on to work."""
    from airflow_provider_chefconsul.operators.desired_state import RollBackOperator

    assert RollBackOperator is face.RollBackOperator


def test_face_says_what_it_has():
    """To `dir` and `import *`, to type checkers, and to those who ask for anything else."""
    assert list(_MODULES) == sorted(_MODULES)
    assert set(_MODULES) <= set(dir(face))
    assert face.__all__ == list(_MODULES)
    typed = dict(imports_from_us(ast.parse((PACKAGE / "__init__.py").read_text())))
    assert typed == {name: f"{face.__name__}.{module}" for name, module in _MODULES.items()}
    with pytest.raises(AttributeError, match=r"^module 'airflow_provider_chefconsul' has no attribute 'Rollout'$"):
        _ = face.Rollout
    with pytest.raises(ImportError, match="cannot import name 'Rollout'"):
        from airflow_provider_chefconsul import Rollout  # noqa: F401


def test_mypy_checks_each_name():
    """In `tests/typing/api.py`, which uses and misuses every one."""
    tree = ast.parse((ROOT / "tests" / "typing" / "api.py").read_text())
    called = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert {name for name, _ in imports_from_us(tree)} == set(_MODULES)
    (misuse,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "misuse"]
    misused = {node.id for node in ast.walk(misuse) if isinstance(node, ast.Name)}
    assert set(_MODULES) <= misused
    assert set(_MODULES) - {"ChefConsulError", "ConsulHook"} <= {name for name in called if called.count(name) > 1}


@pytest.mark.parametrize(
    "file",
    [
        *sorted(ROOT.glob("dags/*.py")),
        *sorted(ROOT.glob("docs/**/*.py")),
        *sorted(ROOT.glob("docs/**/*.md")),
        ROOT / "README.md",
    ],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_examples_import_from_the_face(file):
    """Example Dags, the README and the documentation show no inner module."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    inner = [line for line in lines if line.startswith(("from airflow_provider_", "import airflow_provider_"))]
    assert [line for line in inner if not line.startswith("from airflow_provider_chefconsul import ")] == []


def packages() -> list[Path]:
    """The package and those below it, as directories."""
    return sorted({file.parent for file in PACKAGE.rglob("__init__.py")})


@pytest.mark.parametrize("directory", packages(), ids=lambda directory: str(directory.relative_to(ROOT)))
def test_no_name_shadows_a_module(directory):
    """An attribute of a package is a module or something else, never both."""
    tree = ast.parse((directory / "__init__.py").read_text())
    modules = {path.stem for path in directory.glob("*.py")} | {path.parent.name for path in directory.glob("*/*.py")}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} | {
        node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    names |= {name for name, _ in imports_from_us(tree)}
    if directory == PACKAGE:
        names |= set(_MODULES)
    assert not names & modules


@pytest.mark.parametrize("directory", packages()[1:], ids=lambda directory: str(directory.relative_to(ROOT)))
def test_package_says_whom_it_is_for(directory):
    """Its docstring says that it is internal, or what of it is public."""
    docstring = ast.get_docstring(ast.parse((directory / "__init__.py").read_text()))
    assert docstring is not None
    assert ("internal" in docstring.lower()) is not ("public" in docstring.lower())
