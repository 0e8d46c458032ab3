"""Installing what tests need: what is there is left alone, what is missing and cannot be had is said."""

from __future__ import annotations

import os
import subprocess
import sys

from demo.packages import PROGRAMS, find


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
        "elsewhere install Ruby 3\n"
    )


def test_system_directories_are_looked_at(monkeypatch, tmp_path):
    """An sshd is where only root's PATH leads."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find("sshd") is not None
