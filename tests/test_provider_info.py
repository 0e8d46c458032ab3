"""What Airflow discovers about the package."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from importlib.metadata import entry_points, metadata
from pathlib import Path
from pkgutil import iter_modules

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

import airflow_provider_chefconsul as face
from airflow_provider_chefconsul.provider_info import get_provider_info

BASES = {"hooks": BaseHook, "operators": BaseOperator, "sensors": BaseSensorOperator, "triggers": BaseTrigger}


def test_entry_point_is_installed():
    """Airflow finds the metadata by the distribution's entry point, and the names agree."""
    (found,) = [each for each in entry_points(group="apache_airflow_provider") if "chefconsul" in each.value]
    assert found.load() is get_provider_info
    assert get_provider_info()["package-name"] == metadata("airflow-provider-chefconsul")["Name"]


def test_metadata_follows_airflows_schemas():
    """The relaxed schema that Airflow applies, and the strict one for the connection form."""
    schemas = Path(airflow.__file__).parent
    info = get_provider_info()
    jsonschema.validate(info, json.loads((schemas / "provider_info.schema.json").read_text()))
    strict = json.loads((schemas / "provider.yaml.schema.json").read_text())
    jsonschema.validate(
        info["connection-types"], {**strict["properties"]["connection-types"], "$defs": strict.get("$defs", {})}
    )


def test_pages_and_logo_exist():
    """They are named by their paths in the repository, as official providers name theirs."""
    root = Path(face.__file__).parents[1]
    (integration,) = get_provider_info()["integrations"]
    named = [*integration["how-to-guide"], integration["logo"]]
    assert [path for path in named if not (root / path.removeprefix("/")).is_file()] == []


def classes_below(kind: str) -> set[type]:
    """The hooks, operators, sensors or triggers that can be used: those that nothing is missing from."""
    package = import_module(f"{face.__name__}.{kind}")
    modules = [import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)]
    found = {each for module in modules for each in vars(module).values() if inspect.isclass(each)}
    ours = {each for each in found if each.__module__.startswith(package.__name__) and issubclass(each, BASES[kind])}
    return {each for each in ours if not inspect.isabstract(each) and can_be_executed(each)}


def can_be_executed(each: type) -> bool:
    """Whether an operator says what it does; the bases of operators leave that to others."""
    return not issubclass(each, BaseOperator) or each.execute is not BaseOperator.execute


@pytest.mark.parametrize("kind", BASES)
def test_modules_are_those_that_exist(kind):
    """Each module that defines one is listed, and nothing else is."""
    listed = [module for each in get_provider_info()[kind] for module in each["python-modules"]]
    assert listed == sorted({each.__module__ for each in classes_below(kind)})


def test_public_face_has_what_is_discovered():
    """Triggers apart, which Dag authors do not use, each class that Airflow discovers is exported, and no other."""
    discovered = set.union(*(classes_below(kind) for kind in BASES if kind != "triggers"))
    exported = {getattr(face, name) for name in face.__all__}
    assert discovered == {
        each for each in exported if inspect.isclass(each) and issubclass(each, tuple(BASES.values()))
    }


def test_every_class_named_exists():
    """The hook class has what Airflow asks of it; the extra link and the commands can be made."""
    info = get_provider_info()
    (connection,) = info["connection-types"]
    module, _, name = connection["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (connection["connection-type"], connection["hook-name"])
    for path in info["cli"]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)()
    for path in info["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)().name
