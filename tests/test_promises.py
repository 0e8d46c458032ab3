"""The page of promises: each is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "promises.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[f"{file}::{test}" for file, test in NAMED])
def test_named_test_exists(file, test):
    """Under its name, in its file."""
    names = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
    assert test in names


def test_each_promise_names_a_test():
    """Each row of its tables does."""
    rows = re.findall(r"^\| (?!promise |---)(.*) \|$", PAGE.split("## What is not promised")[0], flags=re.MULTILINE)
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []
