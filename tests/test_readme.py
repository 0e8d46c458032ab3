"""The examples of the README: every Python block is executed, and the first Dag is run on real agents."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def build(block):
    """The Dag that a block defines."""
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names["dag"]


def test_first_dag_rolls_a_release_out(fleet: Fleet, run_dag, monkeypatch):
    """The ten lines do what they say: web goes down, db is upgraded, web comes up, all nodes report it."""
    assert BLOCKS[0].count("\n") <= 10
    connect(monkeypatch, fleet.cluster.http_port)
    states = run_dag(build(BLOCKS[0]), release="3.0.0")
    assert set(states.values()) == {"success"}
    for tier in ("web", "db"):
        assert fleet.assigned(tier) == {
            "generation": fleet.desired(tier)["generation"], "state": "converged", "values": {"release": "3.0.0"},
        }  # fmt: skip
        assert fleet.statuses(tier) == {"succeeded"}


@pytest.mark.parametrize("block", BLOCKS[1:], ids=lambda block: re.search(r'DAG\("(\w+)"', block)[1])
def test_example_is_a_dag(block):
    """Each example parses and has tasks."""
    assert build(block).tasks


def test_examples_with_a_lease_and_a_model_run(fleet: Fleet, run_dag, monkeypatch):
    """What the README shows of them works on real agents; the lease is given up at the end."""
    connect(monkeypatch, fleet.cluster.http_port)
    dags = {dag.dag_id: dag for dag in map(build, BLOCKS[1:])}
    for name in ("leased", "modelled"):
        assert set(run_dag(dags[name]).values()) == {"success"}, name
    assert fleet.states_written("web") == ["off", "converged", "off", "waiting", "converged"]
    assert not any(key.endswith("_lease") for key in fleet.keys)


def test_commands_exist():
    """What the README tells people to run is there."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_commands_are_understood():
    """Airflow's own parser takes every `airflow chefconsul` line of the README."""
    from airflow.cli.cli_parser import get_parser

    lines = re.findall(r"^airflow (chefconsul .*)$", README.replace("\\\n", ""), flags=re.MULTILINE)
    assert len(lines) >= 10
    for line in lines:
        assert get_parser().parse_args(shlex.split(line, comments=True)).func


def test_console_script_does_what_is_shown(fleet: Fleet):
    """Its example, in a shell of its own: the rollout converges, and so says the status."""
    (example,) = re.findall(r"```\n(export CONSUL_HTTP_ADDR=.*?)```", README, flags=re.DOTALL)
    script = f"{shlex.quote(sys.executable)} -c 'from airflow_provider_chefconsul.cli.main import main; main()'"
    lines = example.replace("127.0.0.1:8500", f"127.0.0.1:{fleet.cluster.http_port}")
    ended = subprocess.run(
        ["bash", "-ec", f'chefconsul() {{ {script} "$@"; }}\n{lines}'],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "; 3 of 3 members converged" in " ".join(ended.stdout.split())
