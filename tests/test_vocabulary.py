"""One meaning for each word."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import airflow_provider_chefconsul
from airflow_provider_chefconsul.domain.verdict.standing import Standing

PACKAGE = Path(airflow_provider_chefconsul.__file__).parent
GLOSSARY = (PACKAGE.parent / "docs" / "glossary.md").read_text()


def test_no_class_name_is_defined_twice():
    """So a name alone says which class is meant."""
    definitions = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                definitions[node.name].append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert len(definitions) > 100
    assert {name: found for name, found in definitions.items() if len(found) > 1} == {}


def test_glossary_defines_each_word_once():
    """Every standing in the table of standings, and no word in two rows."""
    words, standings = GLOSSARY.split("## Standings")
    rows = re.findall(r"^\| ([a-z][\w ,]*|Dag run) \|", words, flags=re.MULTILINE)
    terms = [term for row in rows if row != "word" for term in row.split(", ")]
    assert len(terms) > 30
    assert sorted(set(terms)) == sorted(terms)
    cells = re.findall(r"^\| (`.*?) \|", standings, flags=re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(Standing)
