"""Getting what tests need: what is there is left alone, what is missing and cannot be had is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import packages
from demo.packages import PROGRAMS, find

# Stands for apt-get and whatever else is run here: keeps what it was asked for, and does as if.
FAKE = f"""#!{sys.executable} -IS
import pathlib, sys
here, command, words = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with (here / "asked").open("a") as asked:
    print(command, *words, file=asked)
if "--simulate" in words:
    print((here / "simulated").read_text())
elif "download" in words:
    pathlib.Path("some.deb").touch()
elif command == "dpkg-deb":
    package = pathlib.Path(words[2]).name
    parts = ("usr/sbin/sshd", "usr/lib/here/libwrap.so.0", "usr/lib/openssh/sshd-session")
    for file in parts if package == "openssh-server" else ("usr/bin/prometheus",):
        path = pathlib.Path(words[2], file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o755)
elif "install" in words:
    (here / words[-1]).touch(0o755)
"""
UPGRADING = "Inst openssh-client [1:9.2-1] (1:9.2-2 Debian:12 [amd64])\nInst libwrap0 (7.6 Debian:12 [amd64])"


def see_to(*names: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run the module with that PATH; none of the paths here has an apt-get."""
    command = [sys.executable, "-m", "demo.packages", *names]
    return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


def test_what_is_there_is_left_alone(tmp_path):
    """Nothing is printed, and nothing installed."""
    for name in PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    done = see_to(path=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_cannot_be_had_is_said(tmp_path):
    """Each with what needs it, and how to get it; what was not asked for is no matter."""
    done = see_to("ruby", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        "ruby not found, which the cookbooks' specs need: apt-get install ruby on Debian and Ubuntu, "
        "elsewhere install Ruby 3. It was not installed: this machine has no apt-get\n"
    )


def test_system_directories_are_looked_at(monkeypatch, tmp_path):
    """An sshd is where only root's PATH leads."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find("sshd") is not None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A machine without the programs, whose apt would do what is given; returns where it looks for programs."""

    def make(simulated: str) -> Path:
        programs = tmp_path / "machine"
        programs.mkdir()
        for name in ("apt-get", "dpkg-deb", "env", "sudo", "useradd"):
            (programs / name).write_text(FAKE)
            (programs / name).chmod(0o755)
        (programs / "simulated").write_text(simulated)
        (programs / "asked").touch()
        monkeypatch.setenv("PATH", str(programs))
        monkeypatch.setattr(packages, "SYSTEM_DIRECTORIES", ())
        monkeypatch.setattr(packages, "SYSTEMD_IS_RUNNING", programs / "systemd")
        monkeypatch.setattr(packages, "UNPACKED", tmp_path / "unpacked")
        return programs

    return make


def test_what_is_missing_is_installed(machine):
    """Without what is recommended beside it."""
    programs = machine("Inst ruby3.1 (3.1 Debian:12 [amd64])\nInst ruby (1:3.1 Debian:12 [all])\nConf ruby (1:3.1)")
    assert packages.main(["ruby"]) == 0
    assert find("ruby") == programs / "ruby"
    assert "--no-install-recommends" in (programs / "asked").read_text().splitlines()[-1]


def test_nothing_is_upgraded(machine, capsys):
    """Not even what apt would upgrade as a dependency; it is said, with what to do."""
    programs = machine("Inst perl [5.36-7] (5.36-8 Debian:12 [amd64])\nInst ruby (1:3.1 Debian:12 [all])")
    assert packages.main(["ruby"]) == 1
    assert capsys.readouterr().err == (
        "ruby not found, which the cookbooks' specs need: apt-get install ruby on Debian and Ubuntu, elsewhere install "
        "Ruby 3. It was not installed: its installation would upgrade perl\n"
    )
    assert not (programs / "ruby").exists()


@pytest.mark.parametrize(
    ("simulated", "has_systemd"), [(UPGRADING, False), ("Inst openssh-server (1:9.2-2 Debian:12 [amd64])", True)]
)
def test_sshd_is_unpacked_rather_than_installed(simulated, has_systemd, machine, tmp_path):
    """Where its installation would upgrade its client, and where systemd would start it for good."""
    programs = machine(simulated)
    if has_systemd:
        (programs / "systemd").mkdir()
    assert packages.main(["sshd"]) == 0
    script, root = find("sshd"), tmp_path / "unpacked" / "openssh-server"
    assert script == tmp_path / "unpacked" / "bin" / "sshd"
    assert script.read_text() == (
        f"#!/bin/sh\nLD_LIBRARY_PATH={root}/usr/lib/here exec {root}/usr/sbin/sshd "
        f'-oSshdSessionPath={root}/usr/lib/openssh/sshd-session "$@"\n'
    )
    asked = (programs / "asked").read_text().splitlines()
    assert not [line for line in asked if "install openssh-server" in line and "--simulate" not in line]


def test_prometheus_is_unpacked_rather_than_started(machine, tmp_path):
    """Where systemd would start it for good."""
    programs = machine("Inst prometheus (2.42 Debian:12 [amd64])")
    (programs / "systemd").mkdir()
    assert packages.main(["prometheus"]) == 0
    script = find("prometheus")
    assert script == tmp_path / "unpacked" / "bin" / "prometheus"
    assert script.read_text().endswith(f'exec {tmp_path / "unpacked" / "prometheus" / "usr/bin/prometheus"} "$@"\n')
