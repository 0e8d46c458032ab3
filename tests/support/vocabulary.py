"""Names that are synonyms of the glossary's words; `python -m tests.support.vocabulary` lists them.

Prose is not looked at, nor are names that others chose (`query.where(…)`, the key of a document): a name counts where
this package gives it, to a module, class, function, parameter, variable or attribute.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ROOTS = ("airflow_provider_chefconsul", "demo")

BANNED = {
    "attend": "wait",
    "attended": "wait",
    "attends": "wait",
    "decide": "plan",
    "decided": "plan",
    "decides": "plan",
    "died": "early_failure",
    "how": "what it is: settings, options, mode",
    "place": "tier_path",
    "places": "tier_paths",
    "preview": "plan",
    "previews": "plans",
    "revert": "roll_back",
    "reverted": "rolled_back",
    "sight": "what is seen",
    "sighting": "observation",
    "sightings": "observations",
    "stage": "wave, or what it is",
    "stages": "waves, or what they are",
    "step": "plan, wave or transition",
    "steps": "plans, waves or transitions",
    "stories": "explanations",
    "story": "explanation",
    "take_back": "roll_back",
    "taken_back": "rolled_back",
    "teller": "what it does",
    "together": "what they do together",
    "told": "what it holds",
    "where": "tier_path, or what it is",
}
"""Words that a name must not contain, and what to say instead."""

BANNED_CLASSES = {"Holder": "DagRun"}

_GROUPS = "airflow_provider_chefconsul/task_groups"
_OPERATORS = "airflow_provider_chefconsul/operators"
ALLOWED: Mapping[tuple[str, str], str] = {
    (f"{_GROUPS}/state_transition.py", "steps"): "a parameter of `transitions`, which Dag authors know",
    (f"{_OPERATORS}/transitions.py", "steps"): "the same of the operator that it builds",
    (f"{_GROUPS}/wave_rollout.py", "auto_revert"): "a parameter of `rollout`, which users know from Nomad",
}
"""Names that stay, by file, and why."""


class Finding(NamedTuple):
    """A name, and what to say instead."""

    file: str
    line: int
    name: str
    instead: str

    def __str__(self) -> str:
        """As editors and people find it."""
        return f"{self.file}:{self.line}: {self.name}: say {self.instead}"


def given_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module gives, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name, node.lineno


def synonym(name: str) -> str | None:
    """What to say instead of a name; None when it is a good one."""
    if name.strip("_") in BANNED_CLASSES:
        return BANNED_CLASSES[name.strip("_")]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")
    return next((instead for word, instead in BANNED.items() if f"_{word}_" in f"_{words}_"), None)


def findings(*, allowed: Mapping[tuple[str, str], str] = ALLOWED) -> list[Finding]:
    """The names that are synonyms, in order; those of modules are on line 0."""
    found = set()
    for path in (path for root in ROOTS for path in (ROOT / root).rglob("*.py")):
        relative = path.relative_to(ROOT)
        file = relative.as_posix()
        names = [(part, 0) for part in relative.with_suffix("").parts]
        for name, line in [*names, *given_names(ast.parse(path.read_text()))]:
            instead = synonym(name)
            if instead is not None and (file, name) not in allowed:
                found.add(Finding(file, line, name, instead))
    return sorted(found)


if __name__ == "__main__":
    sys.stdout.writelines(f"{each}\n" for each in findings())
