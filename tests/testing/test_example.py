"""The documented example: green for the Dag as it is, red for one that forgives too much."""

from __future__ import annotations

import shutil
from pathlib import Path

from airflow_provider_chefconsul.simulator.fault import GRAMMAR
from tests.testing.conftest import RunPytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "test-dags"
GOOD = "ConvergencePolicy("
BAD = 'ConvergencePolicy(min_converged="50%", max_failed="50%", '


def test_example_is_green_and_finds_a_wide_failure_budget(tmp_path: Path, run_pytest: RunPytest):
    """As documented, in about twenty lines; a Dag that lets half of the nodes fail brings all twelve the bad release.

    The good release passes with both. One run of pytest tries both, since it starts an Airflow.
    """
    example = Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    assert len((example / "test_upgrade_web.py").read_text().splitlines()) <= 25
    wide = Path(shutil.copytree(EXAMPLE, tmp_path / "wide"))
    (wide / "test_upgrade_web.py").rename(wide / "test_wide_upgrade.py")
    dag = wide / "dags" / "upgrade_web.py"
    assert dag.read_text().count(GOOD) == 1
    dag.write_text(dag.read_text().replace(GOOD, BAD))
    printed = run_pytest(tmp_path, "-q")
    assert "1 failed, 3 passed" in printed
    assert "FAILED wide/test_wide_upgrade.py::test_bad_release_reaches_half_of_the_nodes_at_most" in printed
    assert "assert 12 <= 6" in printed


def test_page_shows_the_files_and_the_grammar():
    """As they are."""
    page = EXAMPLE.with_suffix(".md").read_text()
    for file in ("test_upgrade_web.py", "dags/upgrade_web.py"):
        assert f"```python\n{(EXAMPLE / file).read_text()}```" in page
    assert f"```\n{GRAMMAR}\n```" in page
