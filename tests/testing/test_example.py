"""The documented example: green for the Dag as it is, red for one that forgives too much."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_chefconsul.simulator.fault import GRAMMAR
from tests.testing.conftest import RunPytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "testing-dags"
GOOD = "ConvergencePolicy("
BAD = 'ConvergencePolicy(min_converged="50%", max_failed="50%", '


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the author's files."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


def test_example_is_green(example: Path, run_pytest: RunPytest):
    """As documented; its test file has about twenty lines."""
    assert len((example / "test_upgrade_web.py").read_text().splitlines()) <= 25
    assert "2 passed" in run_pytest(example, "-q")


def test_wide_failure_budget_is_caught(example: Path, run_pytest: RunPytest):
    """A Dag that lets half of the nodes fail brings the bad release to all twelve; the good release still passes."""
    dag = example / "dags" / "upgrade_web.py"
    assert dag.read_text().count(GOOD) == 1
    dag.write_text(dag.read_text().replace(GOOD, BAD))
    printed = run_pytest(example, "-q")
    assert "1 failed, 1 passed" in printed
    assert "FAILED test_upgrade_web.py::test_bad_release_reaches_half_of_the_nodes_at_most" in printed
    assert "assert 12 <= 6" in printed


def test_page_shows_the_files_and_the_grammar():
    """As they are."""
    page = (EXAMPLE / "README.md").read_text()
    for file in ("test_upgrade_web.py", "dags/upgrade_web.py"):
        assert f"```python\n{(EXAMPLE / file).read_text()}```" in page
    assert f"```\n{GRAMMAR}\n```" in page
