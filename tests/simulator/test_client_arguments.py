"""What the simulated client refuses before it asks Consul for anything: exit code 43."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulator.gate import Gate
from tests.simulator.node import ANNOUNCEMENT, Node


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--node", "web/1"], "node 'web/1' is not a name"),
        (["--node", ""], "node '' is not a name"),
        (["--tier", "web\n"], "tier 'web\\n' is not a name"),
        (["--tier", "_history"], "tier '_history' is not a name"),
        (["--environment", "../demo"], "environment '../demo' is not a name"),
        (["--root", "a//b"], "'a//b'"),
        (["--root", "a?b"], "'a?b'"),
        (["--seconds", "-1"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--seconds", "soon"], "--seconds"),
        (["--patience", "inf"], "--patience"),
        (["--fail", "--hang"], "--hang"),
        (["--no-such-option"], "--no-such-option"),
        (["--if-need"], "--if-need"),
        (["--token-file", "/no/such/file"], "/no/such/file"),
        (["--token-file", "/dev/null"], "/dev/null"),
        (["--state-dir", "/dev/null/x"], "/dev/null/x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(node: Node, gate: Gate, arguments: list[str], words: str) -> None:
    """What cannot be meant ends with 43 and a message that names it, before Consul is asked for anything."""
    code, output = node.run("--consul", gate.url, *arguments)
    assert (code, words in output.splitlines()[-1]) == (43, True)
    assert output.splitlines()[-1].startswith(ANNOUNCEMENT)
    assert gate.lines == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8500",
        "http://127.0.0.1",
        "http://:8500",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8500/v1",
        "http://127.0.0.1:8500?token=a",
        "unix:///run/consul.sock",
        "ftp://127.0.0.1:8500",
        "http://a..b:8500",
        "http://[::1:8500",
        "http://127.0.0.1:8500\r\nX-A: b",
        "http://konsul-ü:8500",
    ],
)
def test_bad_address(node: Node, url: str) -> None:
    """An address that is not of the form http://HOST:PORT ends with 43."""
    code, output = node.run("--consul", url)
    assert (code, "Consul's address" in output) == (43, True)


def test_password_in_the_address(node: Node) -> None:
    """A password in the address is refused without showing it."""
    code, output = node.run("--consul", "http://me:5ec2e7@127.0.0.1:8500")
    assert (code, "5ec2e7" in output) == (43, False)


@pytest.mark.parametrize("token", ["two tokens", "ünicode", "line\nbreak", "bell\a"])
def test_bad_token(node: Node, tmp_path: Path, token: str) -> None:
    """A file that does not hold one token ends with 43, and what it holds is not shown."""
    token_file = tmp_path / "token"
    token_file.write_text(token, encoding="utf-8")
    code, output = node.run("--token-file", str(token_file))
    assert (code, "token file" in output, token in output) == (43, True, False)


def test_state_directory_of_its_own(node: Node, tmp_path: Path) -> None:
    """Without a state directory the run lock lies below TMPDIR, for this user alone."""
    node.desire(7)
    node.state_dir = None
    assert node.run(env=os.environ | {"TMPDIR": str(tmp_path)})[0] == 0
    (lock,) = tmp_path.glob("chefconsul-simulator-*/web-1.run.lock")
    assert lock.parent.stat().st_mode & 0o777 == 0o700
