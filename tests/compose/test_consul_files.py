"""Consul itself takes what the containers give it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compose.project import ROOT, make_env, services_of


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration directory of a server as its image lays it: the mounted file, and the one it writes itself."""
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(ROOT / "docker/consul/server.hcl", directory)
    (template,) = {each["environment"]["CONSUL_LOCAL_CONFIG"] for each in services_of("hashicorp/consul").values()}
    key = make_env(tmp_path / "env")["CONSUL_GOSSIP_KEY"]
    (directory / "local.json").write_text(template.replace("${CONSUL_GOSSIP_KEY:?run docker/make-env.sh}", key))
    (directory / "data.json").write_text(json.dumps({"data_dir": str(tmp_path / "data")}))
    return directory


def validate(consul: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """What Consul says of a configuration directory."""
    return subprocess.run([consul, "validate", config], capture_output=True, text=True, check=False)


def test_configuration_of_servers_is_valid(consul_binary: Path, config: Path):
    """With the key that docker/make-env.sh makes."""
    done = validate(consul_binary, config)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [("server.hcl", "bootstrap_expect", "bootstrap_expected", "bootstrap_expected"),
     ("server.hcl", "raft_multiplier = 1", "raft_multiplier = 11", "raft_multiplier"),
     ("local.json", '{"encrypt": "', '{"encrypt": "short', "encrypt")],
)  # fmt: skip
def test_what_is_wrong_in_it_is_found(file: str, old: str, new: str, said: str, consul_binary: Path, config: Path):
    """The same check, with one thing wrong."""
    path = config / file
    path.write_text(path.read_text().replace(old, new))
    done = validate(consul_binary, config)
    assert done.returncode != 0
    assert said in done.stderr
