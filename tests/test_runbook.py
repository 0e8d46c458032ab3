"""The runbook is found by what is read elsewhere: each sentence that it lists is one that the package says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import airflow_provider_chefconsul

PACKAGE = Path(airflow_provider_chefconsul.__file__).parent
RUNBOOK = (PACKAGE.parent / "docs" / "runbook.md").read_text()
SYMPTOMS = RUNBOOK.partition("## Symptoms")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.+) \| \[.+\]\(#(.+)\) \|$", SYMPTOMS, flags=re.MULTILINE)


def literals() -> Iterator[str]:
    """Every text of the package, with "…" where a value goes."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.JoinedStr(values=parts):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)
                case ast.Constant(value=str(text)):
                    yield text


def anchors() -> set[str]:
    """Where links within the page may lead, as GitHub and Sphinx name headings."""
    headings = re.findall(r"^###? (.+)$", RUNBOOK, flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_symptom_is_said_somewhere():
    """A sentence that the code no longer says leads nobody to its section."""
    said = "\n".join(literals())
    quoted = [each for symptom, _ in ROWS for each in re.findall(r"`([^`]+)`", symptom)]
    assert len(quoted) > 25
    assert [each for each in quoted if each not in said] == []


def test_every_link_within_the_page_leads_somewhere():
    """And every section is reached from the table, but the table itself and what was tried."""
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors()
    sections = re.findall(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE)
    assert len(sections) - 2 == len({section for _, section in ROWS})
