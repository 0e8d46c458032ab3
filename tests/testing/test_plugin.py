"""The pytest plugin in sessions of authors."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from tests.testing.conftest import RunPytest

CONVERGING = """
def test_converges(fleet):
    nodes = fleet(web=3, tiers={"db-eu": 2}, state="converged", values={"release": "1"}, seconds=0)
    assert set(nodes.tier("web").standings) == {"web-1", "web-2", "web-3"}
    assert set(nodes.tier("db-eu").standings.values()) == {"converged"}

def test_nothing_is_left_of_another_test(fleet):
    assert fleet(web=1).tier("web").desired is None
"""


def test_plugin_is_installed():
    """By the entry point that pytest reads."""
    (found,) = [each for each in entry_points(group="pytest11") if "chefconsul" in each.value]
    assert found.load().__name__ == "airflow_provider_chefconsul.testing.plugin"


def test_plugin_does_nothing_while_nobody_asks():
    """Neither Airflow nor anything else of ours is imported with it, nor what Consul needs."""
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_chefconsul.testing.plugin\n"
        "added = {name for name in set(sys.modules) - before if '.' not in name or name.startswith('airflow')}\n"
        "ours = 'airflow_provider_chefconsul'\n"
        "assert added <= {ours, f'{ours}.testing', f'{ours}.testing.plugin', '__future__', 'uuid', '_uuid'}, added\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fleets_converge_and_do_not_meet(tmp_path: Path, run_pytest: RunPytest):
    """Each test has keys of its own; tiers may have names that are no keywords."""
    (tmp_path / "test_it.py").write_text(CONVERGING)
    assert "2 passed" in run_pytest(tmp_path, "-q")


def test_missing_consul_is_a_failure_in_words(tmp_path: Path, run_pytest: RunPytest):
    """Not a skip, and without a traceback."""
    (tmp_path / "test_it.py").write_text(CONVERGING)
    printed = run_pytest(tmp_path, "-q", consul="/nowhere/consul")
    assert "2 errors" in printed
    assert "needs a real Consul, but CONSUL_BINARY='/nowhere/consul' is not a program" in printed
    assert "Traceback" not in printed


def test_consul_that_is_none_is_a_failure_with_its_words(tmp_path: Path, run_pytest: RunPytest):
    """What it printed is shown."""
    (tmp_path / "test_it.py").write_text(CONVERGING)
    program = tmp_path / "consul"
    program.write_text("#!/bin/sh\necho something is wrong here\nexit 3\n")
    program.chmod(0o755)
    printed = run_pytest(tmp_path, "-q", consul=str(program))
    assert re.search(r"Consul agent server exited with 3; \S+ ends:\nsomething is wrong here", printed)


def test_consul_is_stopped_at_the_end(tmp_path: Path, run_pytest: RunPytest):
    """By its process id; also when a test has failed."""
    (tmp_path / "test_it.py").write_text(
        "def test_fails(fleet, chefconsul_server):\n"
        "    fleet(web=1)\n"
        "    raise AssertionError(f'pid={chefconsul_server.pid}.')\n"
    )
    printed = run_pytest(tmp_path, "-q")
    pid = printed.partition("AssertionError: pid=")[2].partition(".")[0]
    assert pid.isdecimal()
    assert not Path("/proc", pid).exists()
