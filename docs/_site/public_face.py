"""The public names, laid out so that a parser sees them; the package itself loads them when asked for."""

from __future__ import annotations

import ast
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_WITHOUT_MEMBERS = ("Operator", "Sensor", "Notifier")
"""What these have beside their parameters is for Airflow, not for the author of a Dag."""


_SHARED = ("SetDesiredStateOperator", "TransitionOperator")
"""Whose parameters others take, too, and describe only where they differ."""

_PARAMETER = re.compile(r":param (\w+):")


@dataclass(frozen=True)
class PublicFace:
    """What the reference lists: names, each with the module that defines it below the package."""

    package: str
    version: str
    modules: dict[str, str]
    shared: dict[str, str]
    """The fields of docstrings that describe shared parameters."""

    def skip(self, _app: Any, kind: str, name: str, member: Any, skip: bool, _options: Any) -> bool:
        """Say whether to leave something out of the reference; the handler of `autoapi-skip-member`."""
        if kind in {"module", "package"}:
            return name != self.package
        owner, _, rest = name.removeprefix(f"{self.package}.").partition(".")
        if owner not in self.modules:
            return True
        if not rest:
            return False
        return (
            skip
            or member.inherited
            or not member.docstring
            or rest in {"to_fields", "from_fields"}
            or owner.endswith(_WITHOUT_MEMBERS)
        )

    def complete(self, docstring: str, name: str, signature: str) -> str:
        """Describe every parameter: those that the docstring leaves out, as the operators do that share them."""
        if name not in self.modules:
            return docstring
        text, fields = split_fields(docstring)
        described = {found[1]: field for field in fields if (found := _PARAMETER.match(field))}
        others = [field for field in fields if not _PARAMETER.match(field)]
        names = re.findall(r"(?:^|, )\**(\w+)(?=:)", signature)
        known = {parameter: described.pop(parameter, self.shared.get(parameter, "")) for parameter in names}
        return "\n".join([text, "", *filter(None, known.values()), *described.values(), *others])

    def shorten(self, annotations: str) -> str:
        """Name types as a user would: by the public name, or else by the last part."""
        annotations = re.sub(r" ?\| ?[\w.]*\bNotGiven\b", "", annotations)
        annotations = annotations.replace("NOT_GIVEN", "...").replace(
            "ConsulHook.default_conn_name", "'consul_default'"
        )
        return re.sub(rf"\b{self.package}(?:\.[a-z_]\w*)+\.([A-Z]\w*)", self._name, annotations)

    def _name(self, found: re.Match[str]) -> str:
        return f"{self.package}.{found[1]}" if found[1] in self.modules else found[1]


def split_fields(docstring: str) -> tuple[str, list[str]]:
    """The text of a docstring, and its fields, such as `:param tier: …`, each with the lines that go on with it."""
    text, *fields = re.split(r"^(?=:\w)", docstring, flags=re.MULTILINE)
    return text.rstrip(), [field.rstrip() for field in fields]


def shared_parameters(package: Path, modules: dict[str, str]) -> dict[str, str]:
    """The fields that describe parameters in the docstrings of `_SHARED`; the first one counts."""
    found: dict[str, str] = {}
    for name in _SHARED:
        tree = ast.parse((package / f"{modules[name].replace('.', '/')}.py").read_text())
        (node,) = (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)
        for field in split_fields(ast.get_docstring(node) or "")[1]:
            if parameter := _PARAMETER.match(field):
                found.setdefault(parameter[1], field)
    return found


def stage(package: Path, target: Path) -> PublicFace:
    """Copy the package's modules to `target`, with a stub that imports the public names at once."""
    shutil.rmtree(target, ignore_errors=True)
    copied = target / package.name
    shutil.copytree(package, copied, ignore=_others)
    tree = ast.parse((package / "__init__.py").read_text())
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    modules = ast.literal_eval(constants["_MODULES"])
    stub = [
        f'"""{ast.get_docstring(tree)}"""',
        *(f"from {package.name}.{module} import {name}" for name, module in modules.items()),
        f"__all__ = {sorted(modules)!r}",
    ]
    (copied / "__init__.pyi").write_text("\n".join(stub) + "\n")
    version = ast.literal_eval(constants["__version__"])
    return PublicFace(package.name, version, modules, shared_parameters(package, modules))


def _others(_folder: str, names: list[str]) -> list[str]:
    """What is neither a folder nor a module."""
    return [name for name in names if name == "__pycache__" or ("." in name and not name.endswith(".py"))]
