"""What `make docs` makes of the repository, without building it."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from importlib import import_module
from pkgutil import resolve_name

import pytest

import airflow_provider_chefconsul
from tests.support.pages import ROOT

PACKAGE = ROOT / "airflow_provider_chefconsul"


@pytest.fixture(scope="module")
def site():
    """Imports a module of docs/_site by its name."""
    sys.path.insert(0, str(ROOT / "docs" / "_site"))
    yield import_module
    sys.path.remove(str(ROOT / "docs" / "_site"))


@pytest.fixture(scope="module")
def face(site, tmp_path_factory):
    """The public face, and the folder where the parser finds it."""
    folder = tmp_path_factory.mktemp("face")
    return site("public_face").stage(PACKAGE, folder), folder


def test_parser_sees_every_public_name(face):
    """The stub imports each at once, from the module that defines it."""
    staged, folder = face
    stub = ast.parse((folder / PACKAGE.name / "__init__.pyi").read_text())
    imported = {
        alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    modules = airflow_provider_chefconsul._MODULES
    assert imported == {name: f"{PACKAGE.name}.{module}" for name, module in modules.items()}
    assert staged.version == airflow_provider_chefconsul.__version__


@pytest.mark.parametrize("name", sorted(airflow_provider_chefconsul._MODULES))
def test_every_parameter_is_described(face, name):
    """On the page of its operator or function: by its own docstring, or by those that it shares it with."""
    value = getattr(airflow_provider_chefconsul, name)
    if not inspect.isfunction(value) and ("__init__" not in vars(value) or issubclass(value, Exception)):
        return
    parameters = inspect.signature(value).parameters.values()
    names = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD and each.name != "self"]
    signature = ", ".join(f"{each}: object" for each in names)
    described = face[0].complete(inspect.getdoc(value), name, signature)
    found = re.findall(r"^:param (\w+):", described, flags=re.MULTILINE)
    assert set(names) <= set(found)
    assert len(found) == len(set(found))


def test_types_have_short_names(face):
    """Public ones can be linked; parameters that may be left out do not show how that is done."""
    shorten = face[0].shorten
    inner = "airflow_provider_chefconsul.domain"
    assert (
        shorten(f"{inner}.verdict.policy.ConvergencePolicy | None")
        == "airflow_provider_chefconsul.ConvergencePolicy | None"
    )
    assert shorten(f"int | {inner}.count.Count = 0") == "int | Count = 0"
    given = "airflow_provider_chefconsul.task_groups.given.NotGiven"
    assert (
        shorten(f"force: bool | {given} = NOT_GIVEN, tier: str | {given} | None")
        == "force: bool = ..., tier: str | None"
    )


def test_inventory_has_real_names_only(site):
    """Each name that the site links in Python's or Airflow's documentation can be imported."""
    for _, names in site("inventory")._NAMES.values():
        for name in names:
            module, _, attribute = name.rpartition(".")
            assert resolve_name(f"{module}:{attribute}")


def test_inventory_is_read_from_a_file_unless_online(site, tmp_path):
    """So that a build needs no network, and falls back to the file where there is none."""
    mapping = site("inventory").mapping
    assert all(None not in places for _, places in mapping(tmp_path, online=False).values())
    assert all(places[0] is None and places[1] for _, places in mapping(tmp_path, online=True).values())
    assert (tmp_path / "python.inv").read_bytes().startswith(b"# Sphinx inventory version 2\n")


def test_navigation_is_what_the_index_lists(site):
    """A hidden toctree for each section; a page that is no index stays as it is."""
    toctrees = site("toctrees")
    source = ["# Title\n\n## Set up\n\n- [Install it](how-to/install.md)\n- [Elsewhere](https://example.com/a.md)\n"]
    toctrees.add_toctrees(None, "docs/index", source)
    assert source[0].endswith("```{toctree}\n:hidden:\n:caption: Set up\n\nInstall it <how-to/install>\n```\n")
    untouched = ["- [a](b.md)"]
    toctrees.add_toctrees(None, "docs/runbook", untouched)
    assert untouched == ["- [a](b.md)"]


def test_pins_cover_what_the_site_needs():
    """Each package of the group `docs` is pinned, with hashes."""
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["docs"]
    pins = (ROOT / "requirements" / "docs.txt").read_text()
    for name in group:
        assert re.search(rf"^{re.escape(name)}==\S+.* \\\n +--hash=sha256:", pins, flags=re.MULTILINE), name
