"""The cookbooks' own specs, run by RSpec, and their style. What needs Chef or Cookstyle is skipped if there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

COOKBOOKS = Path(__file__).parents[2] / "cookbooks"
NAMES = sorted(path.parent.name for path in COOKBOOKS.glob("*/metadata.rb"))
RUBY = sorted(path.relative_to(COOKBOOKS).as_posix() for path in COOKBOOKS.rglob("*.rb"))
TEMPLATES = sorted(path.relative_to(COOKBOOKS).as_posix() for path in COOKBOOKS.rglob("*.erb"))


def run_specs(command: list[str], cookbook: str, consul_port: int) -> int:
    """Run a cookbook's specs, which must pass; returns the number of examples."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    environment["CONSUL_HTTP_ADDR"] = f"http://127.0.0.1:{consul_port}"
    done = subprocess.run(
        command, cwd=COOKBOOKS / cookbook, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    counted = re.search(r"^(\d+) examples?, 0 failures$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert counted, f"{done.stdout}\n{done.stderr}"
    return int(counted[1])


@pytest.mark.parametrize("cookbook", NAMES)
def test_specs(cookbook, cluster):
    """RSpec with a real Consul, for all specs that need no Chef."""
    assert run_specs(["rspec"], cookbook, cluster.http_port) > 0


@pytest.mark.parametrize("cookbook", NAMES)
def test_chefspec(cookbook, cluster):
    """ChefSpec on recipes and resources."""
    if shutil.which("chef") is None:
        pytest.skip("no Chef Workstation (chef) on the PATH: ChefSpec examples were not run")
    command = ["chef", "exec", "rspec", "--options", os.devnull, "--pattern", "spec/unit/**/*_spec.rb"]
    assert run_specs(command, cookbook, cluster.http_port) > 0


@pytest.mark.parametrize("cookbook", NAMES)
def test_cookstyle(cookbook):
    """Cookstyle, which Chef Workstation and the gem of that name bring, finds nothing."""
    if shutil.which("cookstyle") is None:
        pytest.skip("no cookstyle on the PATH: the cookbooks' style was not checked")
    done = subprocess.run(["cookstyle"], cwd=COOKBOOKS / cookbook, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"^[1-9]\d* files? inspected, no offenses detected$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("path", RUBY)
def test_ruby_syntax(path):
    """Each Ruby file parses without warnings."""
    done = subprocess.run(["ruby", "-wc", COOKBOOKS / path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "Syntax OK\n")


@pytest.mark.parametrize("path", TEMPLATES)
def test_template_syntax(path):
    """Each template compiles to Ruby."""
    compiled = "require 'erb'; print ERB.new(File.read(ARGV[0]), trim_mode: '-').src"
    source = subprocess.run(["ruby", "-e", compiled, COOKBOOKS / path], capture_output=True, text=True, check=True)
    done = subprocess.run(["ruby", "-c"], input=source.stdout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_cookbooks():
    """An empty list would test nothing."""
    assert NAMES == ["desired_state", "shop"]
    assert RUBY
    assert TEMPLATES
