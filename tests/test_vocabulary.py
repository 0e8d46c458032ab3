"""One meaning for each word."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import airflow_provider_chefconsul
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from tests.support.vocabulary import ALLOWED, findings, given_names, synonym

PACKAGE = Path(airflow_provider_chefconsul.__file__).parent
GLOSSARY = (PACKAGE.parent / "docs" / "glossary.md").read_text()


def test_no_class_name_is_defined_twice():
    """So a name alone identifies the class."""
    definitions = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                definitions[node.name].append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert len(definitions) > 100
    assert {name: found for name, found in definitions.items() if len(found) > 1} == {}


def test_glossary_defines_each_word_once():
    """Each standing is in the table of standings, and no word has two rows."""
    words, standings = GLOSSARY.split("## Standings")
    rows = re.findall(r"^\| ([a-z][\w ,]*|Dag run) \|", words, flags=re.MULTILINE)
    terms = [term for row in rows if row != "word" for term in row.split(", ")]
    assert len(terms) > 30
    assert sorted(set(terms)) == sorted(terms)
    cells = re.findall(r"^\| (`.*?) \|", standings, flags=re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(Standing)


@pytest.mark.parametrize(
    ("name", "is_synonym"),
    [
        ("tier_preview", True),
        ("TierPreview", True),
        ("_Teller", True),
        ("IS_TOLD", True),
        ("Holder", True),
        ("holder", False),
        ("shows_where", True),
        ("showhow", False),
        ("whereas", False),
        ("decision", False),
    ],
)
def test_synonyms_are_words_of_a_name(name, is_synonym):
    """In any spelling; a word that merely contains one is another word."""
    assert (synonym(name) is not None) is is_synonym


def test_every_way_to_give_a_name_is_seen():
    """Functions, parameters, variables, attributes, classes, imports, errors, and captures of a match."""
    code = """
import a as b
from c import d as e
class F:
    g: int
    async def h(self, i, *j, k=0, **l): self.m = n = lambda o: p(q=r)
try: (s, [*t]) = u
except v as w: x += y
with z as aa:
    for bb in cc: dd = [ee for ff in gg if (hh := ii)]
match jj:
    case {"kk": ll, **mm}: pass
    case [nn, *oo] as pp: pass
"""
    given = {name for name, _ in given_names(ast.parse(code))}
    assert " ".join(sorted(given)) == "F aa b bb dd e ff g h hh i j k l ll m mm n nn o oo pp s self t w x"


def test_no_name_is_a_synonym():
    """Of a word in the glossary, apart from names that others chose."""
    assert "\n".join(map(str, findings())) == ""


def test_every_exception_is_needed():
    """So that no name outlives its entry in the list."""
    assert {(each.file, each.name) for each in findings(allowed={})} >= set(ALLOWED)
