"""docker/make-env.sh, which makes the secrets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cryptography.fernet import Fernet

from tests.compose.project import COMPOSE, MAKE_ENV, ROOT, make_env


def make(file: Path) -> subprocess.CompletedProcess[str]:
    """Run it as the comment in docker-compose.yml says."""
    return subprocess.run([MAKE_ENV, file], capture_output=True, text=True, check=False)


def test_secrets_are_new_and_ones_own(tmp_path: Path):
    """Two files have no value in common, no value twice, and nobody else can read them."""
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        assert make(file).returncode == 0
        assert file.stat().st_mode & 0o777 == 0o600
    values = [line.split("=", 1)[1] for file in files for line in file.read_text().splitlines() if line[0] != "#"]
    assert len(values) == len(set(values)) == 10


def test_secrets_are_those_that_are_asked_for(tmp_path: Path):
    """docker-compose.yml demands each of them; Fernet takes its key, and the password can stand in a URL."""
    made = make_env(tmp_path / "env")
    used = re.findall(r"\$\{(\w+)(:\?)?", COMPOSE.read_text())
    assert set(used) == {(name, ":?") for name in made}
    Fernet(made["AIRFLOW_FERNET_KEY"])
    assert re.fullmatch(r"[\w=-]+", made["POSTGRES_PASSWORD"])


def test_what_exists_is_kept(tmp_path: Path):
    """The database keeps the password that it was made with."""
    file = tmp_path / "env"
    file.write_text("POSTGRES_PASSWORD=old\n")
    done = make(file)
    assert (done.returncode, done.stderr) == (1, f"{file} exists, and is kept\n")
    assert file.read_text() == "POSTGRES_PASSWORD=old\n"


def test_git_does_not_take_them():
    """The file that it writes is ignored."""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
